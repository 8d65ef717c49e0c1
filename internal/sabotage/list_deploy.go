package main

// deployed are the rules of how a gateway is deployed.
var deployed = []sabotage{
	{"a group may change the key file, if it is root's", []edit{{
		"purchase/sealed.wide", "mode.Perm()&0o037 != 0", never,
	}}, "./purchase/sealed", "TestGroupMayReadTheKeyFileOfRoot"},
	{"a group may read the key file, whoever owns it", []edit{{
		"purchase/sealed.wide", "ofRoot && !asRoot", always,
	}}, "./purchase/sealed", "TestGroupMayReadTheKeyFileOfRoot"},
}
