package policy

import (
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEveryReasonCodeIsKnown(t *testing.T) {
	source, err := os.ReadFile("denial.go")
	require.NoError(t, err)
	declared := regexp.MustCompile(`(?m)^\t\w+ Code = "(\w+)"$`).FindAllSubmatch(source, -1)
	assert.Len(t, declared, len(codes))
	for _, d := range declared {
		assert.NoError(t, Code(d[1]).Known())
	}
	assert.EqualError(t, Code("nopolicy").Known(), `"nopolicy" is no reason code; did you mean NoPolicy?`)
	assert.ErrorContains(t, Code("Whatever").Known(), `"Whatever" is no reason code: the codes are NoPolicy, PolicyInvalid, `)
	assert.Error(t, unbuildable.Known(), "it never leaves this package")
}
