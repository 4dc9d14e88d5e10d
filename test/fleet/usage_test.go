package fleet

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestFiguresOfTheKernelAreRead(t *testing.T) {
	const status = "Name:\tslipway-launcher\nVmPeak:\t 1300000 kB\nVmHWM:\t   51200 kB\nVmRSS:\t   40960 kB\n"
	assert.EqualValues(t, 40960<<10, kilobytes(status, "VmRSS:"))
	assert.EqualValues(t, 51200<<10, kilobytes(status, "VmHWM:"))
	assert.Zero(t, kilobytes(status, "VmSwap:"))

	const stat = "4711 (a name) (x) S 1 4711 4711 0 -1 4194560 900 0 0 0 150 25 0 0 20 0 9 0 100 1 2"
	assert.Equal(t, 1750*time.Millisecond, processorTime(stat), "150 and 25 hundredths of a second")
	assert.Zero(t, processorTime("4711 (cut off"))
}
