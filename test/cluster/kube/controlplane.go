package kube

import (
	"context"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
)

// serviceRange is where Services get their addresses from; the first one is
// that of the API server.
const serviceRange, apiServiceAddress = "10.96.0.0/16", "10.96.0.1"

// plane is what the programs of one control plane have to know of each other.
type plane struct {
	*Cluster

	pki string // the folder of keys and certificates

	etcdPort, peerPort, apiPort, managerPort, schedulerPort int

	starting *progress // nil where it isn't shown
}

// startAll starts the programs, each when what it needs answers, and returns
// when all do.
func (p *plane) startAll(ctx context.Context) error {
	if p.options.Node {
		p.starting = showProgress(p.options.Progress, "Kubernetes")
		defer p.starting.stop()
		if err := p.startMachine(ctx); err != nil {
			return err
		}
	}
	if err := p.run(ctx, p.command("etcd", p.etcdArgs()...), p.answers(p.etcd, "/health")); err != nil {
		return err
	}
	if err := p.run(ctx, p.command("kube-apiserver", p.apiServerArgs()...), p.answers(p.config, "/readyz")); err != nil {
		return err
	}
	if err := p.awaitDefaultNamespace(ctx); err != nil {
		return err
	}
	if p.options.ControllerManager {
		ready := p.answers(p.unnamed(loopback, p.managerPort), "/healthz")
		if err := p.run(ctx, p.command("kube-controller-manager", p.managerArgs()...), ready); err != nil {
			return err
		}
	}
	if p.options.Scheduler {
		ready := p.answers(p.unnamed(loopback, p.schedulerPort), "/readyz")
		if err := p.run(ctx, p.command("kube-scheduler", p.schedulerArgs()...), ready); err != nil {
			return err
		}
	}
	if p.options.FakeNodes > 0 {
		if err := p.startFakeNodes(ctx); err != nil {
			return err
		}
	}
	if p.options.Node {
		return p.startNode(ctx)
	}
	return nil
}

// command is a program of Kubernetes.
func (c *Cluster) command(name string, args ...string) *exec.Cmd {
	return command(filepath.Join(c.programs, name), args...)
}

// run starts a program and waits until it is ready.
func (p *plane) run(ctx context.Context, cmd *exec.Cmd, ready check) error {
	name := filepath.Base(cmd.Args[0])
	if p.starting != nil {
		p.starting.step("starting "+name, 0)
	}
	log, err := p.createLog(name)
	if err != nil {
		return err
	}
	defer log.Close() // the child has its own
	cmd.Stdout, cmd.Stderr = log, log
	started, err := startChild(cmd, syscall.SIGKILL, p.machine)
	if err != nil {
		return err
	}
	started.log = log.Name()
	p.children = append(p.children, started)
	return started.await(ctx, ready)
}

func (p *plane) etcdArgs() []string {
	client, peer := httpsURL(p.etcdPort), httpsURL(p.peerPort)
	return []string{
		"--name=default",
		"--data-dir=" + filepath.Join(p.scratch.dir, "etcd"),
		"--unsafe-no-fsync", // the data is thrown away
		"--log-level=warn",
		"--listen-client-urls=" + client,
		"--advertise-client-urls=" + client,
		"--listen-peer-urls=" + peer,
		"--initial-advertise-peer-urls=" + peer,
		"--initial-cluster=default=" + peer,
		// Without certificates every process of the machine could write to it,
		// and an API server whose etcd failed to get its port could end up with
		// the etcd of another cluster.
		"--client-cert-auth",
		"--trusted-ca-file=" + p.file("etcd-ca.crt"),
		"--cert-file=" + p.file("etcd.crt"),
		"--key-file=" + p.file("etcd.key"),
		"--peer-client-cert-auth",
		"--peer-trusted-ca-file=" + p.file("etcd-ca.crt"),
		"--peer-cert-file=" + p.file("etcd.crt"),
		"--peer-key-file=" + p.file("etcd.key"),
	}
}

// apiServerArgs are those that kubeadm gives, as far as they mean something
// without a node; admission plugins and feature gates are the same.
func (p *plane) apiServerArgs() []string {
	args := []string{
		"--etcd-servers=" + httpsURL(p.etcdPort),
		"--etcd-cafile=" + p.file("etcd-ca.crt"),
		"--etcd-certfile=" + p.file("etcd-client.crt"),
		"--etcd-keyfile=" + p.file("etcd-client.key"),
		"--secure-port=" + strconv.Itoa(p.apiPort),
		"--tls-cert-file=" + p.file("serving.crt"),
		"--tls-private-key-file=" + p.file("serving.key"),
		"--client-ca-file=" + p.file("ca.crt"),
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true",
		"--service-cluster-ip-range=" + serviceRange,
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + p.file("sa.pub"),
		"--service-account-signing-key-file=" + p.file("sa.key"),
		// Otherwise it waits a minute for open watches before it ends.
		"--shutdown-watch-termination-grace-period=1s",
	}
	if p.options.Node {
		args = append(args, p.apiServerNodeArgs()...)
	} else {
		args = append(args,
			"--bind-address="+loopback,
			// Endpoints refuse loopback addresses, and there are no pods that would
			// use the Service kubernetes.
			"--advertise-address="+loopback,
			"--endpoint-reconciler-type=none",
		)
	}
	return append(args, p.options.APIServerArgs...)
}

func (p *plane) managerArgs() []string {
	return append(p.leaderArgs("controller-manager", p.managerPort),
		"--use-service-account-credentials",
		"--service-account-private-key-file="+p.file("sa.key"),
		"--root-ca-file="+p.file("ca.crt"),
		"--cluster-signing-cert-file="+p.file("ca.crt"),
		"--cluster-signing-key-file="+p.file("ca.key"),
	)
}

func (p *plane) schedulerArgs() []string {
	return p.leaderArgs("scheduler", p.schedulerPort)
}

// leaderArgs are the arguments that the controller manager and the scheduler
// have in common.
func (p *plane) leaderArgs(name string, port int) []string {
	kubeconfig := p.file(name + ".kubeconfig")
	return []string{
		"--kubeconfig=" + kubeconfig,
		"--authentication-kubeconfig=" + kubeconfig,
		"--authorization-kubeconfig=" + kubeconfig,
		"--leader-elect=false", // there is one of each
		"--bind-address=" + loopback,
		"--secure-port=" + strconv.Itoa(port),
		"--tls-cert-file=" + p.file("serving.crt"),
		"--tls-private-key-file=" + p.file("serving.key"),
	}
}

// file is the path of a key, certificate or kubeconfig.
func (p *plane) file(name string) string {
	return filepath.Join(p.pki, name)
}

func httpsURL(port int) string {
	return "https://" + net.JoinHostPort(loopback, strconv.Itoa(port))
}
