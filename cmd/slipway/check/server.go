package check

import (
	"context"
	"strconv"
	"strings"
)

// What the chart demands: ValidatingAdmissionPolicy is v1 since then.
const leastMajor, leastMinor = 1, 30

func lookAtServer(_ context.Context, in *installation) []Finding {
	if newEnough(in.server.Major, in.server.Minor) {
		return nil
	}
	return []Finding{wrong("", "", "the API server is "+in.server.GitVersion+
		", but the admission policies need 1.30: what they forbid is allowed here", "upgrade the cluster to Kubernetes 1.30 or later")}
}

// newEnough reads versions as providers write them, such as 30+. One that can't be read is believed to be.
func newEnough(major, minor string) bool {
	M, majorErr := strconv.Atoi(major)
	m, minorErr := strconv.Atoi(strings.TrimRight(minor, "+-abcdefghijklmnopqrstuvwxyz"))
	if majorErr != nil || minorErr != nil {
		return true
	}
	return M > leastMajor || M == leastMajor && m >= leastMinor
}
