//go:build e2e

package kube

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
)

const notebookImage = "slipway.dev/test/notebook:1"

// loadNotebook compiles the test's notebook server and gives it to the node.
func loadNotebook(t *testing.T, c *Cluster) {
	t.Helper()
	binary, tar := filepath.Join(t.TempDir(), "notebook"), filepath.Join(t.TempDir(), "notebook.tar")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../../images/notebook")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NoError(t, PackImage(t.Context(), os.Stderr, "--ref", notebookImage, "--binary", binary,
		"--entrypoint", "/notebook", "--user", "65532", "--out", tar))
	require.NoError(t, c.LoadImage(t.Context(), tar))
}

// awaitRunning waits until the containers of a pod are ready.
func awaitRunning(t *testing.T, client kubernetes.Interface, name string) *corev1.Pod {
	t.Helper()
	var stored *corev1.Pod
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		var err error
		stored, err = client.CoreV1().Pods("default").Get(t.Context(), name, metav1.GetOptions{})
		require.NoError(c, err)
		require.Equal(c, corev1.PodRunning, stored.Status.Phase, "%v", stored.Status)
		for _, container := range stored.Status.ContainerStatuses {
			require.True(c, container.Ready, "%v", container)
		}
	}, time.Minute, 50*time.Millisecond)
	return stored
}

// notebookPod has one of everything that a policy decides about.
func notebookPod() *corev1.Pod {
	p := pod("notebook", notebookImage)
	p.Labels = map[string]string{"app": "notebook"}
	user := int64(1000)
	p.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: &user, RunAsGroup: &user, FSGroup: &user}
	container := &p.Spec.Containers[0]
	container.Env = []corev1.EnvVar{{Name: "COURSE", Value: "algebra"}}
	container.Resources.Limits = corev1.ResourceList{
		corev1.ResourceMemory: resource.MustParse("64Mi"), corev1.ResourceCPU: resource.MustParse("500m"),
	}
	container.ReadinessProbe = &corev1.Probe{PeriodSeconds: 1, ProbeHandler: corev1.ProbeHandler{
		HTTPGet: &corev1.HTTPGetAction{Path: "/", Port: intstr.FromInt32(8888)},
	}}
	container.VolumeMounts = []corev1.VolumeMount{{Name: "home", MountPath: "/home"}, {Name: "data", MountPath: "/data"}}
	p.Spec.Volumes = []corev1.Volume{
		{Name: "home", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
		{Name: "data", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: "data"},
		}}},
	}
	return p
}

// report is what the container says of itself.
type report struct {
	UID, GID              int
	Groups                []int
	Env                   map[string]string
	Mounts                []struct{ Path string }
	MemoryLimit, CPULimit int64
}

func TestNodeRunsAPodAsItsSpecSays(t *testing.T) {
	begin := time.Now()
	c := startOne(t, Options{Node: true})
	t.Logf("the node was ready after %s", time.Since(begin))
	loadNotebook(t, c)
	client := clientOf(t, c)
	ctx := t.Context()
	_, err := client.CoreV1().ConfigMaps("default").Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "data"}, Data: map[string]string{"a": "b"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	service, err := client.CoreV1().Services("default").Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "notebook"},
		Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "notebook"}, Ports: []corev1.ServicePort{
			{Port: 80, TargetPort: intstr.FromInt32(8888)},
		}}}, metav1.CreateOptions{})
	require.NoError(t, err)
	begin = time.Now()
	_, err = client.CoreV1().Pods("default").Create(ctx, notebookPod(), metav1.CreateOptions{})
	require.NoError(t, err)
	stored := awaitRunning(t, client, "notebook")
	t.Logf("the pod was ready after %s", time.Since(begin))

	t.Run("inside", func(t *testing.T) {
		printed, err := c.Kubectl(ctx, nil, "exec", "notebook", "--", "/notebook", "report")
		require.NoError(t, err)
		var r report
		require.NoError(t, json.Unmarshal([]byte(printed), &r))
		assert.Equal(t, 1000, r.UID)
		assert.Equal(t, 1000, r.GID)
		assert.Equal(t, []int{1000}, r.Groups)
		assert.Equal(t, "algebra", r.Env["COURSE"])
		assert.Equal(t, int64(64<<20), r.MemoryLimit)
		assert.Equal(t, int64(500), r.CPULimit)
		var paths []string
		for _, mount := range r.Mounts {
			paths = append(paths, mount.Path)
		}
		assert.Subset(t, paths, []string{"/home", "/data", "/var/run/secrets/kubernetes.io/serviceaccount"})
	})
	t.Run("addresses", func(t *testing.T) {
		local, err := c.Forward(ctx, 0, stored.Status.PodIP+":8888")
		require.NoError(t, err)
		reach := &http.Client{Transport: &http.Transport{DialContext: c.DialContext, DisableKeepAlives: true}}
		assertNotebookAnswers(ctx, t, http.DefaultClient, "http://"+local)
		assertNotebookAnswers(ctx, t, reach, "http://"+stored.Status.PodIP+":8888")
		assertNotebookAnswers(ctx, t, reach, "http://"+service.Spec.ClusterIP)
	})
	t.Run("from a pod", func(t *testing.T) {
		itself, err := c.Kubectl(ctx, nil, "exec", "notebook", "--", "/notebook", "get", "http://"+service.Spec.ClusterIP)
		require.NoError(t, err)
		assert.Contains(t, itself, "algebra")
		version, err := c.Kubectl(ctx, nil, "exec", "notebook", "--", "/notebook", "get", "https://"+apiServiceAddress+"/version")
		require.NoError(t, err)
		assert.Contains(t, version, "gitVersion")
	})
	t.Run("log", func(t *testing.T) {
		printed, err := c.Kubectl(ctx, nil, "logs", "notebook")
		require.NoError(t, err)
		assert.Contains(t, printed, "user 1000 listens on :8888")
	})
}

func assertNotebookAnswers(ctx context.Context, t *testing.T, client *http.Client, url string) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) { // kube-proxy may not know the pod yet
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		require.NoError(c, err)
		response, err := client.Do(request)
		require.NoError(c, err)
		defer response.Body.Close()
		content, err := io.ReadAll(response.Body)
		require.NoError(c, err)
		assert.Contains(c, string(content), `"COURSE": "algebra"`)
	}, 20*time.Second, 50*time.Millisecond)
}

func TestNodeThatCannotStartLeavesNothing(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	_, err := Start(t.Context(), Options{Node: true, Progress: os.Stderr, APIServerArgs: []string{"--no-such-flag"}})

	require.ErrorContains(t, err, "unknown flag: --no-such-flag")
	requireNothingUnder(t, os.TempDir())
}

func TestNodeTriesAgainWhereThePortIsTaken(t *testing.T) {
	busy, err := net.Listen("tcp", net.JoinHostPort(loopback, "0"))
	require.NoError(t, err)
	defer busy.Close()
	attempts := 0
	c := startOne(t, Options{Node: true, ports: func(ctx context.Context, n int) ([]int, error) {
		attempts++
		ports, err := freePorts(ctx, n)
		if attempts == 1 {
			ports[2] = busy.Addr().(*net.TCPAddr).Port // in the machine it is free
		}
		return ports, err
	}})

	assert.Equal(t, 2, attempts)
	assert.NotContains(t, c.Config().Host, busy.Addr().String())
}
