package spelling

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestDistanceCountsTheMistakesOfFingers(t *testing.T) {
	for pair, want := range map[[2]string]int{
		{"", ""}: 0, {"image", "image"}: 0, {"", "uid"}: 3, {"imgae", "image"}: 1, {"image", "imag"}: 1, {"image", "images"}: 1,
		{"image", "imaje"}: 1, {"abc", "cab"}: 2, {"memLimit", "cpuLimit"}: 3,
	} {
		assert.Equal(t, want, Distance(pair[0], pair[1]), pair)
		assert.Equal(t, want, Distance(pair[1], pair[0]), pair)
	}
	assert.True(t, Alike("storage", "storgae"))
	assert.False(t, Alike("uid", "gid"), "short names are near to anything")
}
