//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// awaitServed waits until every replica serves with the certificate of a Secret.
func (s *stage) awaitServed(t *testing.T, secret string) {
	t.Helper()
	eventually(t, "the certificate of "+secret+" is served", func(ctx context.Context) error {
		wanted, err := s.admin.CoreV1().Secrets(ownNamespace).Get(ctx, secret, metav1.GetOptions{})
		if err != nil {
			return err
		}
		leaf, _ := pem.Decode(wanted.Data["tls.crt"])
		if leaf == nil {
			return errors.New("there is no certificate in it")
		}
		pods, err := s.admin.CoreV1().Pods(ownNamespace).List(ctx, metav1.ListOptions{LabelSelector: webhookPods})
		if err != nil {
			return err
		}
		for _, pod := range pods.Items {
			served, err := s.served(ctx, net.JoinHostPort(pod.Status.PodIP, "10250"))
			if err != nil {
				return fmt.Errorf("%s: %w", pod.Name, err)
			}
			if !bytes.Equal(served, leaf.Bytes) {
				return fmt.Errorf("%s serves with another", pod.Name)
			}
		}
		return nil
	})
	require.EqualValues(t, 2, s.deployment(t).Status.ReadyReplicas)
}

// served is the certificate that a replica shows, as DER.
func (s *stage) served(ctx context.Context, address string) ([]byte, error) {
	raw, err := s.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer raw.Close()
	// Which certificate it is, is the question.
	conn := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return conn.ConnectionState().PeerCertificates[0].Raw, nil
}
