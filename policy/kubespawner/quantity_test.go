package kubespawner

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestSizesAreReadAsPythonReadsThem(t *testing.T) {
	for text, want := range map[string]string{
		"1G": "1Gi", "1.5G": "1536Mi", "512M": "512Mi", "\t1 G": "1Gi", "1e3K": "1000Ki", "1_0G": "10Gi", "2T": "2Ti",
		".5K": "512", "1.K": "1Ki", "+1K": "1Ki", "7.222G": "7754563452", "462.196G": "496279176085", "115.549G": "124069794021",
	} {
		n, ok := parseBytes(text)
		assert.True(t, ok, text)
		assert.Equal(t, want, bytesQuantity(n), text)
	}
	for _, text := range []string{"1Gi", "512Mi", "1g", "1P", "1GB", "1024", "", "G", "nanG", "infG", "0x1G", "1__0G", "_1G", "1 0G", "9e99T"} {
		_, ok := parseBytes(text)
		assert.False(t, ok, text)
	}
}
