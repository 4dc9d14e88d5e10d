package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"

	"github.com/slipway-hub/slipway/launcher"
	"github.com/slipway-hub/slipway/policy"
)

// orphan is something without a server.
type orphan struct {
	Namespace string `json:"namespace"`
	Kind      string `json:"kind"`
	Name      string `json:"name"`
	User      string `json:"user,omitempty"`
	Why       string `json:"why"`
}

const (
	kindPod    = "Pod"
	kindSecret = "Secret"
	kindClaim  = "PersistentVolumeClaim"
)

// findOrphans looks for them beside the pods of the hubs.
func findOrphans(ctx context.Context, client kubernetes.Interface, secrets metadata.Interface, pods []corev1.Pod, flags *listFlags) ([]orphan, error) {
	// By their type the API server finds them without anybody reading a value: metadata is all that is asked for.
	envs, err := secrets.Resource(corev1.SchemeGroupVersion.WithResource("secrets")).Namespace(flags.namespace).
		List(ctx, metav1.ListOptions{FieldSelector: "type=" + string(launcher.EnvSecretType)})
	if err != nil {
		return nil, fmt.Errorf("list the names of env Secrets: %w", err)
	}
	claims, err := client.CoreV1().PersistentVolumeClaims(flags.namespace).List(ctx, metav1.ListOptions{LabelSelector: flags.selector()})
	if err != nil {
		return nil, fmt.Errorf("list claims: %w", err)
	}
	// A Secret's pod may be another hub's, or younger than the list of pods.
	every, err := client.CoreV1().Pods(flags.namespace).List(ctx, metav1.ListOptions{LabelSelector: policy.LabelHub})
	if err != nil {
		return nil, fmt.Errorf("list pods: %w", err)
	}
	found := slices.Concat(podsWithoutSecret(pods, envs.Items), secretsWithoutPod(every.Items, envs.Items), claimsWithoutPod(every.Items, claims.Items))
	if flags.jupyterhub != "" {
		known, err := serversOfHub(ctx, &http.Client{Timeout: hubAnswersWithin}, flags.jupyterhub, os.Getenv(hubTokenVariable))
		if err != nil {
			return nil, err
		}
		found = append(found, podsUnknown(pods, known)...)
	}
	slices.SortFunc(found, func(a, b orphan) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	return found, nil
}

func podsWithoutSecret(pods []corev1.Pod, secrets []metav1.PartialObjectMetadata) []orphan {
	there := map[types.NamespacedName]bool{}
	for i := range secrets {
		there[types.NamespacedName{Namespace: secrets[i].Namespace, Name: secrets[i].Name}] = true
	}
	var found []orphan
	for i := range pods {
		pod := &pods[i]
		secret := pod.Annotations[policy.AnnotationEnvSecret]
		if secret != "" && !there[types.NamespacedName{Namespace: pod.Namespace, Name: secret}] {
			found = append(found, orphan{pod.Namespace, kindPod, pod.Name, pod.Annotations[policy.AnnotationUsername], "its Secret " + secret + " is missing"})
		}
	}
	return found
}

func secretsWithoutPod(pods []corev1.Pod, secrets []metav1.PartialObjectMetadata) []orphan {
	there := map[types.UID]bool{}
	for i := range pods {
		there[pods[i].UID] = true
	}
	var found []orphan
	for i := range secrets {
		s := &secrets[i]
		if !slices.ContainsFunc(s.OwnerReferences, func(o metav1.OwnerReference) bool { return there[o.UID] }) {
			found = append(found, orphan{s.Namespace, kindSecret, s.Name, "", "its pod is gone, and garbage collection hasn't taken it yet"})
		}
	}
	return found
}

func claimsWithoutPod(pods []corev1.Pod, claims []corev1.PersistentVolumeClaim) []orphan {
	used := map[types.NamespacedName]bool{}
	for i := range pods {
		for _, v := range pods[i].Spec.Volumes {
			if v.PersistentVolumeClaim != nil {
				used[types.NamespacedName{Namespace: pods[i].Namespace, Name: v.PersistentVolumeClaim.ClaimName}] = true
			}
		}
	}
	var found []orphan
	for i := range claims {
		c := &claims[i]
		if !used[types.NamespacedName{Namespace: c.Namespace, Name: c.Name}] {
			found = append(found, orphan{c.Namespace, kindClaim, c.Name, c.Annotations[policy.AnnotationUsername], "no pod uses it"})
		}
	}
	return found
}

func podsUnknown(pods []corev1.Pod, known map[launcher.Key]bool) []orphan {
	var found []orphan
	for i := range pods {
		s := launcher.ServerOf(&pods[i])
		if !known[launcher.Key{User: s.User, Name: s.Name}] {
			found = append(found, orphan{s.Namespace, kindPod, s.Pod, s.User, "the hub doesn't know this server"})
		}
	}
	return found
}

// hubTokenVariable holds the token for JupyterHub's REST API, as in JupyterHub's own programs.
const hubTokenVariable = "JUPYTERHUB_API_TOKEN"

// hubAnswersWithin bounds each page of a hub's answer.
const hubAnswersWithin = 30 * time.Second

// serversOfHub asks a JupyterHub which servers it believes to run. Keys have no hub.
func serversOfHub(ctx context.Context, client *http.Client, url, token string) (map[launcher.Key]bool, error) {
	next := strings.TrimRight(url, "/")
	if !strings.HasSuffix(next, "/hub/api") {
		next += "/hub/api"
	}
	next += "/users?limit=200"
	known := map[launcher.Key]bool{}
	for next != "" {
		page, err := usersOfHub(ctx, client, next, token)
		if err != nil {
			return nil, fmt.Errorf("ask %s which servers it knows: %w", url, err)
		}
		for _, u := range page.Items {
			for name := range u.Servers {
				known[launcher.Key{User: u.Name, Name: name}] = true
			}
		}
		if next = ""; page.Pagination.Next != nil {
			next = page.Pagination.Next.URL
		}
	}
	return known, nil
}

// hubUsers is a page of JupyterHub's GET /users.
type hubUsers struct {
	Items []struct {
		Name    string              `json:"name"`
		Servers map[string]struct{} `json:"servers"`
	} `json:"items"`
	Pagination struct {
		Next *struct {
			URL string `json:"url"`
		} `json:"next"`
	} `json:"_pagination"`
}

func usersOfHub(ctx context.Context, client *http.Client, url, token string) (*hubUsers, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "token "+token)
	r.Header.Set("Accept", "application/jupyterhub-pagination+json")
	answer, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answers %s: the token needs the scopes list:users and read:servers", answer.Status)
	}
	var page hubUsers
	if err := json.NewDecoder(answer.Body).Decode(&page); err != nil {
		return nil, fmt.Errorf("its answer can't be read: %w", err)
	}
	return &page, nil
}
