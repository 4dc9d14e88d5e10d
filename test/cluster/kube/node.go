package kube

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	texttemplate "text/template"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// nodeName is the node's name in the cluster.
	nodeName = "node"
	// nodeAddress is the node's, and the one under which pods reach the API
	// server. All of a node's addresses are its machine's own, so no other
	// network has to be asked.
	nodeAddress = "10.244.0.1"
	// pauseImage holds the namespaces of a pod.
	pauseImage = "slipway.dev/test/pause:1"
)

// nodeCommands are the commands of a machine that a node needs, and the
// packages of Debian that bring them, as in packages.sh. runc from Go modules would lack seccomp,
// which is a C library.
var nodeCommands = map[string]string{"runc": "runc", "nft": "nftables", "ip": "iproute2"}

//go:embed node
var nodeFiles embed.FS

// checkNode says what this machine lacks.
func checkNode() error {
	if os.Geteuid() != 0 {
		return errors.New("a node needs root, because containers do; without one the control plane works for everybody")
	}
	var commands, packages []string
	for _, command := range slices.Sorted(maps.Keys(nodeCommands)) {
		if _, err := lookPath(command); err != nil {
			commands, packages = append(commands, command), append(packages, nodeCommands[command])
		}
	}
	if commands != nil {
		return fmt.Errorf("a node needs the commands %s; test/cluster/packages.sh installs the Debian packages %s",
			strings.Join(commands, ", "), strings.Join(packages, ", "))
	}
	return nil
}

// startNode starts what runs pods, and returns when it is ready for them.
func (p *plane) startNode(ctx context.Context) error {
	if err := p.writeNodeFiles(); err != nil {
		return err
	}
	containerd := p.nodeCommand("containerd", "--config", p.machineDir("containerd.toml"))
	if err := p.run(ctx, containerd, func(ctx context.Context) error {
		_, err := p.ctr(ctx, "version")
		return err
	}); err != nil {
		return err
	}
	if err := p.loadPause(ctx); err != nil {
		return err
	}
	kubelet := p.nodeCommand(filepath.Join(p.programs, "kubelet"),
		"--config="+p.machineDir("kubelet.yaml"),
		"--kubeconfig="+p.file("kubelet.kubeconfig"),
		"--hostname-override="+nodeName,
		"--node-ip="+nodeAddress,
	)
	if err := p.run(ctx, kubelet, p.nodeReady); err != nil {
		return err
	}
	// It waits for the node, to learn its address.
	proxy := p.nodeCommand(filepath.Join(p.programs, "kube-proxy"), "--config="+p.machineDir("kube-proxy.yaml"))
	return p.run(ctx, proxy, p.answers(p.unnamed(apiServiceAddress, 443), "/readyz"))
}

// apiServerNodeArgs are what kube-apiserver needs to know of the node.
func (p *plane) apiServerNodeArgs() []string {
	return []string{
		// All addresses of the machine; nobody else's reach it.
		"--bind-address=0.0.0.0",
		"--advertise-address=" + nodeAddress,
		// Webhooks in pods are called at their pods' addresses.
		"--enable-aggregator-routing",
		"--kubelet-preferred-address-types=InternalIP",
		"--kubelet-certificate-authority=" + p.file("ca.crt"),
		"--kubelet-client-certificate=" + p.file("kubelet-client.crt"),
		"--kubelet-client-key=" + p.file("kubelet-client.key"),
	}
}

// machineDir is a path in the folder of the node's own files.
func (c *Cluster) machineDir(name string) string {
	return filepath.Join(c.scratch.dir, "machine", name)
}

// writeNodeFiles writes the configurations of the node's programs.
func (p *plane) writeNodeFiles() error {
	values := struct{ Scratch, Cgroup, Programs, PKI, Node, PauseImage string }{
		p.machineDir("."), filepath.Base(p.scratch.dir), p.containerd, p.pki, nodeName, pauseImage,
	}
	for name, to := range map[string]string{
		"containerd.toml": "containerd.toml", "kubelet.yaml": "kubelet.yaml", "kube-proxy.yaml": "kube-proxy.yaml",
		"cni.conflist": "cni/cni.conflist",
	} {
		t, err := texttemplate.ParseFS(nodeFiles, "node/"+name)
		if err != nil {
			return fmt.Errorf("read the configuration: %w", err)
		}
		var content bytes.Buffer
		if err := t.Execute(&content, values); err != nil {
			return fmt.Errorf("fill in the configuration: %w", err)
		}
		to = p.machineDir(to)
		if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
			return fmt.Errorf("make a folder of the node: %w", err)
		}
		if err := os.WriteFile(to, content.Bytes(), 0o600); err != nil {
			return fmt.Errorf("write the configuration: %w", err)
		}
	}
	return nil
}

// nodeCommand is a program of the containerd set, or one of the developer's
// machine by its path. It finds the commands that a node needs.
func (c *Cluster) nodeCommand(name string, args ...string) *exec.Cmd {
	if !filepath.IsAbs(name) {
		name = filepath.Join(c.containerd, name)
	}
	cmd := command(name, args...)
	cmd.Env = append(os.Environ(), "PATH="+c.containerd+":"+nodePath())
	return cmd
}

// nodePath is the PATH with the folders in which root's commands are: a
// developer who became root by su may lack them.
func nodePath() string {
	return os.Getenv("PATH") + ":/usr/sbin:/sbin"
}

// lookPath finds a command of the node.
func lookPath(command string) (string, error) {
	for _, dir := range filepath.SplitList(nodePath()) {
		if len(missingPrograms(dir, []string{command})) == 0 {
			return filepath.Join(dir, command), nil
		}
	}
	return "", exec.ErrNotFound
}

// nodeReady checks that the node says that it is.
func (p *plane) nodeReady(ctx context.Context) error {
	node, err := p.client.CoreV1().Nodes().Get(ctx, nodeName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			if condition.Status == corev1.ConditionTrue {
				return nil
			}
			return fmt.Errorf("the node isn't ready: %s", condition.Message)
		}
	}
	return errors.New("the node doesn't say yet whether it is ready")
}

// DialContext connects to an address in the network of the cluster with a node:
// of a pod, a Service, or the node itself. The address has an IP address and a
// port; there are no names.
func (c *Cluster) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return c.machine.dial(ctx, network, address)
}
