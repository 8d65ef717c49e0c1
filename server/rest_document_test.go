package server

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	gigagatev1 "gigagate.internal/gen/go/gigagate/v1"
	"gigagate.internal/gen/openapi"
)

func loadDocument(t *testing.T) *openapi3.T {
	t.Helper()
	document, err := openapi3.NewLoader().LoadFromData(openapi.Document)
	if err != nil {
		t.Fatal(err)
	}
	return document
}

// The document is valid OpenAPI, and its examples match their schemas.
func TestDocumentIsValid(t *testing.T) {
	t.Parallel()
	if err := loadDocument(t).Validate(t.Context(), openapi3.EnableExamplesValidation(), openapi3.EnableSchemaDefaultsValidation()); err != nil {
		t.Error(err)
	}
}

// The document has exactly the calls that REST serves.
func TestDocumentHasEveryRoute(t *testing.T) {
	t.Parallel()
	var documented []string
	for path, item := range loadDocument(t).Paths.Map() {
		for method := range item.Operations() {
			documented = append(documented, method+" "+path)
		}
	}
	var served []string
	for _, r := range routes {
		served = append(served, r.method+" "+r.template)
	}
	slices.Sort(documented)
	slices.Sort(served)
	if !slices.Equal(documented, served) {
		t.Errorf("the document has %q, REST serves %q", documented, served)
	}
}

var reasonLine = regexp.MustCompile("(?m)^- `([A-Z_]+)`, effect `([A-Z_]+)`(?: \\(.+?\\))?: ")

// The document's errors agree with the specs that answers are made from.
func TestDocumentAgreesWithTheReasons(t *testing.T) {
	t.Parallel()
	seen := map[gigagatev1.ErrorReason]bool{
		// REST has no deadlines, and the document does not describe calls with a wrong method.
		gigagatev1.ErrorReason_ERROR_REASON_DEADLINE_TOO_SHORT: true,
		gigagatev1.ErrorReason_ERROR_REASON_METHOD_NOT_ALLOWED: true,
		gigagatev1.ErrorReason_ERROR_REASON_UNSPECIFIED:        true,
	}
	for path, item := range loadDocument(t).Paths.Map() {
		for method, operation := range item.Operations() {
			for status, response := range operation.Responses.Map() {
				at := fmt.Sprintf("%s %s %s", method, path, status)
				lines := reasonLine.FindAllStringSubmatch(*response.Value.Description, -1)
				if (status == strconv.Itoa(http.StatusOK)) != (len(lines) == 0) {
					t.Errorf("%s names the reasons %q", at, lines)
				}
				delays := false
				for _, line := range lines {
					reason := gigagatev1.ErrorReason(gigagatev1.ErrorReason_value["ERROR_REASON_"+line[1]])
					spec := specs[reason]
					if strconv.Itoa(httpStatusOf(reason)) != status || effectText(spec.GetEffect()) != line[2] {
						t.Errorf("%s: %s with effect %s, the contract has %v", at, line[1], line[2], spec)
					}
					seen[reason] = true
					delays = delays || spec.GetRetryDelay() != nil
				}
				if _, ok := response.Value.Headers["Retry-After"]; ok != delays {
					t.Errorf("%s: has a Retry-After: %v", at, ok)
				}
				if operation.OperationID == "" || !strings.HasPrefix(operation.Description, strings.ToUpper(operation.OperationID[:1])+operation.OperationID[1:]) {
					t.Errorf("%s: %q is described as %q", at, operation.OperationID, operation.Description)
				}
			}
		}
	}
	for number, name := range gigagatev1.ErrorReason_name {
		if !seen[gigagatev1.ErrorReason(number)] {
			t.Errorf("no call of the document can fail with %s", name)
		}
	}
}
