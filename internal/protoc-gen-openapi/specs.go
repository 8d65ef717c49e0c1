package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// spec is what the document needs from the contract's option gigagate.v1.error_spec of a reason.
type spec struct {
	number      protoreflect.EnumNumber
	reason      string // without the enum's prefix
	comment     string
	status      int
	effect      string
	otherEffect string
	delay       bool // whether the answer says how long to wait before a retry
	calls       []string
}

// optionOf is the option of an enum value, or nil if it has none. It is read with the descriptors that the compiler sent.
// This program cannot link the stubs, because the same run of buf generates them.
func optionOf(types *dynamicpb.Types, value *protogen.EnumValue) (protoreflect.Message, error) {
	option, err := types.FindExtensionByName("gigagate.v1.error_spec")
	if err != nil {
		return nil, err
	}
	text, err := proto.Marshal(value.Desc.Options())
	if err != nil {
		return nil, err
	}
	options := dynamicpb.NewMessage(option.TypeDescriptor().ContainingMessage())
	err = proto.UnmarshalOptions{Resolver: types}.Unmarshal(text, options)
	if err != nil || !options.Has(option.TypeDescriptor()) {
		return nil, err
	}
	return options.Get(option.TypeDescriptor()).Message(), nil
}

// specOf reads the option of a reason.
func specOf(option protoreflect.Message) spec {
	field := func(name protoreflect.Name) protoreflect.FieldDescriptor {
		return option.Descriptor().Fields().ByName(name)
	}
	effect := field("effect")
	read := spec{
		status:      int(option.Get(field("http_status")).Int()),
		effect:      strings.TrimPrefix(string(effect.Enum().Values().ByNumber(option.Get(effect).Enum()).Name()), "EFFECT_"),
		otherEffect: option.Get(field("other_effect")).String(),
		delay:       option.Has(field("retry_delay")),
	}
	for i := range option.Get(field("calls")).List().Len() {
		read.calls = append(read.calls, option.Get(field("calls")).List().Get(i).String())
	}
	return read
}

// readSpecs reads the options of all reasons.
func (d *document) readSpecs(enum *protogen.Enum, types *dynamicpb.Types) error {
	for _, value := range enum.Values {
		option, err := optionOf(types, value)
		switch {
		case err != nil:
			return err
		case option == nil && value.Desc.Number() != 0:
			return fmt.Errorf("%s has no error_spec", value.Desc.Name())
		case option == nil:
			continue
		}
		read := specOf(option)
		read.number = value.Desc.Number()
		read.reason = strings.TrimPrefix(string(value.Desc.Name()), "ERROR_REASON_")
		read.comment = d.commentOf(value.Comments)
		d.specs = append(d.specs, read)
	}
	slices.SortFunc(d.specs, func(a, b spec) int { return cmp.Compare(a.number, b.number) })
	return nil
}

// checkCalls returns an error if a spec names a call that does not exist.
func checkCalls(specs []spec, services []*protogen.Service) error {
	known := map[string]bool{"*": true}
	for _, service := range services {
		for _, method := range service.Methods {
			known[string(method.Desc.Name())] = true
		}
	}
	for _, s := range specs {
		for _, call := range s.calls {
			if !known[call] {
				return fmt.Errorf("%s: there is no call %s", s.reason, call)
			}
		}
	}
	return nil
}

// typesIn are the types of all files that the compiler sent.
func typesIn(plugin *protogen.Plugin) (*dynamicpb.Types, error) {
	files, err := protodesc.NewFiles(&descriptorpb.FileDescriptorSet{File: plugin.Request.GetProtoFile()})
	if err != nil {
		return nil, err
	}
	return dynamicpb.NewTypes(files), nil
}
