package main

// findingCustomers are the rules of the search for the customer who has an eSIM.
var findingCustomers = []sabotage{
	{"an eSIM of a shared customer is found", []edit{{
		"server.customerService.FindCustomer", "!shown.HasESIM($_)", never,
	}}, server, "TestFindSharedCustomer"},
	{"a customer who was sold elsewhere is found without the right", []edit{{
		"server.customerService.FindCustomer", "s.mayUseCustomer(ctx, $_)", "error(nil)",
	}}, server, "TestFindCustomerInOddAnswers"},
	{"another's eSIM takes more reads than nobody's", []edit{{
		"server.customerService.FindCustomer", "record.Customer.UID = noCustomer",
		"return nil, &failure{reason: gigagatev1.ErrorReason_ERROR_REASON_CUSTOMER_NOT_FOUND}",
	}}, server, "TestFindCustomer"},
	{"a search may find the customer of another eSIM", []edit{{
		"gigastore.Client.CustomerOfESIM", "!r.HasESIM(iccid)", never,
	}}, vendor, "TestCustomerOfESIM"},
	{"the first of several customers with an eSIM is taken", []edit{{
		"gigastore.Client.CustomerOfESIM", `case found, r.Customer.UID == "": $*_`, `case found: continue`,
	}}, vendor, "TestCustomerOfESIM"},
	{"the console puts an ICCID into an address", []edit{{
		"internal/console.Console.searchPurchases", "by == byICCID || $_", never,
	}}, consolePages, "TestNoAddressHasAnICCID"},
	{"the console knows an ICCID only if the operator says so", []edit{{
		"internal/console.Console.searchPurchases", "iccid.Is(query)", never,
	}}, consolePages, "TestNoAddressHasAnICCID"},
	{"the log has the number of an eSIM", []edit{{
		"server.redactInPlace", "message.Set(field, protoreflect.ValueOfString(redactedText))", "_ = redactedText",
	}}, server, "TestNothingPersonalOrSecretIsTold"},
}
