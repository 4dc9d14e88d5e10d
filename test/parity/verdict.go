package parity

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Judge says in what our server differs from KubeSpawner's; nil where the two are equal, or neither can be started.
func Judge(want Answer, got Fitted) ([]string, error) {
	reason := want.refused()
	switch refused := len(got.Refused) > 0; {
	case refused && (reason != "" || want.refusable()):
		return nil, nil
	case refused:
		return []string{"want a pod, got a refusal: " + strings.Join(got.Refused, "; ")}, nil
	case reason != "":
		return []string{"want a refusal, since " + reason + "; got a pod"}, nil
	}
	lines, err := DiffPods(want.Pod, got.Pod)
	claims, claimErr := DiffClaims(want.Claim, got.Claim)
	lines = append(lines, labelled("claim ", claims)...)
	lines = append(lines, labelled("names ", diffNames(want.Names, got))...)
	return lines, errors.Join(err, claimErr)
}

// refused says why KubeSpawner's server doesn't start: it raised an error, or made what no API server can read. It
// is empty where there are objects.
func (a Answer) refused() string {
	if a.Error != nil {
		return "KubeSpawner raises " + a.Error.Error()
	}
	if _, err := read[corev1.Pod](a.Pod); err != nil {
		return "KubeSpawner's pod can't be read: " + err.Error()
	}
	if isNull(a.Claim) {
		return ""
	}
	if _, err := read[corev1.PersistentVolumeClaim](a.Claim); err != nil {
		return "KubeSpawner's claim can't be read: " + err.Error()
	}
	return ""
}

// refusable says whether a server that KubeSpawner makes may be refused: the API server would refuse it too, for its
// name, or would drop fields without a word. If we don't refuse it, our objects have to be equal all the same.
func (a Answer) refusable() bool {
	pod, dropped, err := readStrict[corev1.Pod](a.Pod)
	if err != nil || len(dropped) > 0 || !isObjectName(pod.Name) {
		return true
	}
	if isNull(a.Claim) {
		return false
	}
	claim, dropped, err := readStrict[corev1.PersistentVolumeClaim](a.Claim)
	return err != nil || len(dropped) > 0 || !isObjectName(claim.Name)
}

func isObjectName(name string) bool { return len(validation.IsDNS1123Subdomain(name)) == 0 }

func labelled(prefix string, lines []string) []string {
	out := make([]string, len(lines))
	for i, line := range lines {
		out[i] = prefix + line
	}
	return out
}

func diffNames(want AnswerNames, got Fitted) []string {
	host := want.Host
	if host == nil {
		host = &want.DNS
	}
	var lines []string
	for _, name := range []struct{ what, want, got string }{
		{"pod", want.Pod, got.Names.Pod},
		{"claim", want.Claim, got.Names.Claim},
		{"secret", want.Secret, got.Names.Secret},
		{"namespace", cmp.Or(want.Namespace, "default"), got.Names.Namespace},
		{"dns", *host, got.Names.DNS},
	} {
		if name.want != name.got {
			lines = append(lines, fmt.Sprintf("%s: want %q, got %q", name.what, name.want, name.got))
		}
	}
	return lines
}
