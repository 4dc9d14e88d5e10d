//go:build e2e

package kube

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// surroundings are what a node could change on the developer's machine.
type surroundings struct {
	Interfaces, Mounts []string
	Tables             string
	Settings           map[string]string
}

func look(t require.TestingT) surroundings {
	s := surroundings{Settings: map[string]string{}}
	interfaces, err := net.Interfaces()
	require.NoError(t, err)
	for _, i := range interfaces {
		s.Interfaces = append(s.Interfaces, i.Name)
	}
	mounts, err := os.ReadFile("/proc/1/mountinfo")
	require.NoError(t, err)
	s.Mounts = strings.Split(string(mounts), "\n")
	sort.Strings(s.Mounts)
	nft, err := lookPath("nft")
	require.NoError(t, err)
	tables, err := exec.Command(nft, "list", "tables").Output()
	require.NoError(t, err)
	s.Tables = string(tables)
	for _, name := range []string{"net/ipv4/ip_forward", "vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops"} {
		content, err := os.ReadFile("/proc/sys/" + name)
		require.NoError(t, err)
		s.Settings[name] = string(content)
	}
	return s
}

// links are the namespaces that threads of this machine are in, as the kernel
// names them, each with a thread that is.
func links(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	paths, err := filepath.Glob("/proc/[0-9]*/task/*/ns/*")
	require.NoError(t, err)
	for _, path := range paths {
		if link, err := os.Readlink(path); err == nil { // else it has just ended
			found[link] = path
		}
	}
	return found
}

// cgroups are the control groups of a cluster.
func cgroups(t require.TestingT, dir string) []string {
	found, err := filepath.Glob("/sys/fs/cgroup/*/" + filepath.Base(dir))
	require.NoError(t, err)
	unified, err := filepath.Glob("/sys/fs/cgroup/" + filepath.Base(dir))
	require.NoError(t, err)
	return append(found, unified...)
}

// TestNothingOutlivesTheNode ends a process with a node, on which a pod runs, in
// the ways in which a developer's ends.
func TestNothingOutlivesTheNode(t *testing.T) {
	require.NoError(t, Prepare(t.Context(), Options{Node: true, Progress: os.Stderr}))
	for how, signal := range map[string]syscall.Signal{"killed": syscall.SIGKILL, "stopped": syscall.SIGTERM} {
		t.Run(how, func(t *testing.T) {
			before := look(t)
			victim := exec.CommandContext(t.Context(), os.Args[0])
			victim.Env = append(os.Environ(), crashVariable+"=node")
			victim.Stderr = os.Stderr
			stdout, err := victim.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, victim.Start())
			var left remains
			require.NoError(t, json.NewDecoder(stdout).Decode(&left))
			config, err := clientcmd.BuildConfigFromFlags("", left.Kubeconfig)
			require.NoError(t, err)
			client, err := kubernetes.NewForConfig(config)
			require.NoError(t, err)
			_, err = client.CoreV1().Pods("default").Create(t.Context(), pod("pause", pauseImage), metav1.CreateOptions{})
			require.NoError(t, err)
			awaitRunning(t, client, "pause")

			assert.Equal(t, before, look(t), "nor does it change anything while it runs")
			require.NotEmpty(t, cgroups(t, left.Dir))
			spaces := namespacesOf(t, left.PIDs[1])
			require.NoError(t, victim.Process.Signal(signal))
			err = victim.Wait()
			if how == "stopped" {
				require.NoError(t, err)
			}

			requireGone(t, left)
			require.EventuallyWithT(t, func(c *assert.CollectT) {
				assert.Empty(c, cgroups(c, left.Dir))
				there := links(t)
				for _, space := range spaces {
					assert.Empty(c, there[space], "a thread is still in it")
				}
				assert.Equal(c, before, look(c))
			}, 20*time.Second, 50*time.Millisecond)
		})
	}
}

// TestStoppedNodeIsGoneAtOnce is about the threads of this process, too, which
// were in the node's namespaces.
func TestStoppedNodeIsGoneAtOnce(t *testing.T) {
	c := startOne(t, Options{Node: true})
	spaces := namespacesOf(t, c.machine.first.pid)
	there := links(t)
	for _, space := range spaces {
		require.NotEmpty(t, there[space])
	}
	begin := time.Now()
	require.NoError(t, c.Stop())
	t.Logf("stopped in %s", time.Since(begin))

	assert.NoDirExists(t, c.scratch.dir)
	assert.Empty(t, cgroups(t, c.scratch.dir))
	there = links(t)
	for _, space := range spaces {
		assert.Empty(t, there[space])
	}
	_, err := c.DialContext(t.Context(), "tcp", nodeAddress+":10250")
	assert.ErrorContains(t, err, "find the machine of the node")
}

// namespacesOf are those that the machine of a node has of its own.
func namespacesOf(t *testing.T, pid int) (spaces []string) {
	t.Helper()
	for _, kind := range []string{"mnt", "net", "pid"} {
		link, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, kind))
		require.NoError(t, err)
		own, err := os.Readlink("/proc/self/ns/" + kind)
		require.NoError(t, err)
		require.NotEqual(t, own, link)
		spaces = append(spaces, link)
	}
	return spaces
}

func TestTwoNodesDoNotMeet(t *testing.T) {
	first := startOne(t, Options{Node: true})
	second := startOne(t, Options{Node: true})
	for _, c := range []*Cluster{first, second} {
		client := clientOf(t, c)
		_, err := client.CoreV1().Pods("default").Create(t.Context(), pod("pause", pauseImage), metav1.CreateOptions{})
		require.NoError(t, err)
		awaitRunning(t, client, "pause")
	}
	require.NoError(t, first.Stop())

	client := clientOf(t, second)
	require.NoError(t, client.CoreV1().Pods("default").Delete(t.Context(), "pause", metav1.DeleteOptions{}))
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		pods, err := client.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{})
		require.NoError(c, err)
		assert.Empty(c, pods.Items, "the other node works still")
	}, time.Minute, 50*time.Millisecond)
}
