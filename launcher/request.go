package launcher

import (
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/slipway-hub/slipway/policy"
)

// startID8 gives 8 of a to z and 0 to 9 for a start id. Two ids of one server that give the same are one in 10^12.
func startID8(id string) string {
	sum := sha256.Sum256([]byte(id))
	const length = 8
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:]))[:length]
}

// check finds what is wrong with a request before anything is asked. Everything bad is in the error.
func (l *Launcher) check(req *Request) error {
	var problems []error
	if err := l.knows(req.Hub); err != nil {
		problems = append(problems, err)
	}
	if req.User == "" {
		problems = append(problems, errors.New("the request has no user"))
	}
	if req.StartID == "" {
		problems = append(problems, errors.New("the request has no start id: give each start of a server another, and the same when you ask again"))
	}
	if req.Timeout < 0 {
		problems = append(problems, errors.New("the request's timeout is negative: leave it out for five minutes"))
	}
	for _, name := range slices.Sorted(maps.Keys(req.Env)) {
		if wrong := validation.IsConfigMapKey(name); len(wrong) > 0 {
			problems = append(problems, fmt.Errorf("%q can't be the name of an environment variable: %s", name, wrong[0]))
		}
		if slices.Contains(policy.CertificateFiles(), name) {
			problems = append(problems, fmt.Errorf("%q is the name of a TLS file, so it can't be that of an environment variable: put it among the files", name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(req.Files)) {
		if !slices.Contains(policy.CertificateFiles(), name) {
			problems = append(problems, fmt.Errorf("%q is no TLS file of a server: they are %s", name, strings.Join(policy.CertificateFiles(), ", ")))
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return &Failure{Message: errors.Join(problems...).Error(), Hopeless: true}
}

// knows: pods of other hubs aren't watched, so nothing could be said of them.
func (l *Launcher) knows(hub string) error {
	if hub != "" && (slices.Contains(l.config.Hubs, hub) || slices.Contains(l.config.Hubs, AllHubs)) {
		return nil
	}
	return &Failure{Message: fmt.Sprintf("hub %q isn't one that this launcher serves: name it among its hubs", hub), Hopeless: true}
}
