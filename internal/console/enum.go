package console

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// wordOf is the name of an enum's value without the name of the enum, such as UNCERTAIN. The pages and the command line use
// the same words.
func wordOf(value protoreflect.Enum) string {
	descriptor := value.Descriptor()
	named := descriptor.Values().ByNumber(value.Number())
	if named == nil {
		return fmt.Sprint(value.Number()) // of a later version
	}
	zero := string(descriptor.Values().ByNumber(0).Name())
	return strings.TrimPrefix(string(named.Name()), strings.TrimSuffix(zero, "UNSPECIFIED"))
}
