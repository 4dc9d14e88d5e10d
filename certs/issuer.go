package certs

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// AnnotationRotateAt asks for a new certificate, on the Secret of our own: a time as RFC 3339 has it. A certificate that
	// was made before that time is replaced.
	AnnotationRotateAt = "slipway.dev/rotate-at"

	// validFor is how long our own certificates are valid. They are renewed when two thirds of that are over, so a cluster may
	// be off for a month without a gap.
	validFor = 90 * 24 * time.Hour
)

// renewal says why a new pair has to be made now, or else when it is time. An error says that somebody asked for one in a
// way that can't be understood.
func renewal(secret *corev1.Secret, hosts []string, now time.Time) (why string, due time.Time, err error) {
	p, err := readPair(secret.Data, hosts, now)
	if err != nil {
		return err.Error(), time.Time{}, nil //nolint:nilerr // it is why, not a failure
	}
	made := p.leaf().NotBefore.Add(backdating)
	due = made.Add(p.leaf().NotAfter.Sub(made) * 2 / 3)
	if !now.Before(due) {
		return "two thirds of its time are over", time.Time{}, nil
	}
	asked, err := rotateAt(secret)
	switch asked = asked.Truncate(time.Second); { // certificates have whole seconds
	case err != nil || !made.Before(asked):
		return "", due, err
	case !now.Before(asked):
		return "the annotation " + AnnotationRotateAt + " asks for it", time.Time{}, nil
	case asked.Before(due):
		due = asked
	}
	return "", due, nil
}

// rotateAt is zero where nobody has asked.
func rotateAt(secret *corev1.Secret) (time.Time, error) {
	value := secret.Annotations[AnnotationRotateAt]
	if value == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, value)
	if err != nil {
		return time.Time{}, fmt.Errorf("the annotation %s of Secret %s/%s is %q, which is no time; write it like 2026-05-01T12:00:00Z",
			AnnotationRotateAt, secret.Namespace, secret.Name, value)
	}
	return at, nil
}

// issue puts a new pair into the Secret, unless somebody has changed it since it was read, and gives the Secret as it is
// then.
func (k *Keeper) issue(ctx context.Context, secret *corev1.Secret, now time.Time) (*corev1.Secret, error) {
	made, err := SelfSigned(k.o.Hosts, now, validFor)
	if err != nil {
		return nil, err
	}
	renewed := secret.DeepCopy()
	if renewed.Data == nil {
		renewed.Data = map[string][]byte{}
	}
	renewed.Data[CertFile], renewed.Data[KeyFile], renewed.Data[CAFile] = made.Cert, made.Key, made.CA
	stored, err := k.secrets.Update(ctx, renewed, metav1.UpdateOptions{FieldManager: k.o.FieldManager})
	if err != nil {
		return nil, fmt.Errorf("write the serving certificate into Secret %s/%s: %w", secret.Namespace, secret.Name, err)
	}
	return stored, nil
}
