package kube

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// openLogs makes the folder of the logs.
func (c *Cluster) openLogs() error {
	c.logs = c.options.LogDir
	if c.logs == "" {
		c.logs = filepath.Join(c.scratch.dir, "logs")
	}
	if err := os.MkdirAll(c.logs, 0o750); err != nil {
		return fmt.Errorf("make the folder of the logs: %w", err)
	}
	return nil
}

// createLog makes the empty log of a program.
func (c *Cluster) createLog(name string) (*os.File, error) {
	log, err := os.Create(filepath.Join(c.logs, name+".log"))
	if err != nil {
		return nil, fmt.Errorf("make the log of %s: %w", name, err)
	}
	return log, nil
}

// prepare finds ports and writes everything that the programs read.
func (c *Cluster) prepare(ctx context.Context) (*plane, error) {
	ports, err := c.options.ports(ctx, 5)
	if err != nil {
		return nil, err
	}
	p := &plane{
		Cluster: c, pki: filepath.Join(c.scratch.dir, "pki"),
		etcdPort: ports[0], peerPort: ports[1], apiPort: ports[2], managerPort: ports[3], schedulerPort: ports[4],
	}
	if err := os.Mkdir(p.pki, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the keys: %w", err)
	}
	if err := p.prepareEtcd(); err != nil {
		return nil, err
	}
	if err := p.prepareKubernetes(); err != nil {
		return nil, err
	}
	return p, nil
}

// prepareEtcd gives etcd an authority of its own: a client certificate of
// Kubernetes must not open the store behind the API server.
func (p *plane) prepareEtcd() error {
	ca, err := newAuthority("etcd-ca")
	if err != nil {
		return err
	}
	server, err := ca.serving("etcd")
	if err != nil {
		return err
	}
	client, err := ca.client("kube-apiserver")
	if err != nil {
		return err
	}
	p.etcd = clientConfig(p.etcdPort, ca, client)
	return p.write(map[string][]byte{
		"etcd-ca.crt": ca.pem.certificate,
		"etcd.crt":    server.certificate, "etcd.key": server.key,
		"etcd-client.crt": client.certificate, "etcd-client.key": client.key,
	})
}

// prepareKubernetes makes the credentials of the API server and its clients.
func (p *plane) prepareKubernetes() error {
	ca, err := newAuthority("kubernetes-ca")
	if err != nil {
		return err
	}
	serving, err := ca.serving("kube-apiserver", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
		"kubernetes.default.svc.cluster.local", apiServiceAddress, nodeAddress)
	if err != nil {
		return err
	}
	private, public, err := newSigningKey()
	if err != nil {
		return err
	}
	if err := p.write(map[string][]byte{
		"ca.crt": ca.pem.certificate, "ca.key": ca.pem.key,
		"serving.crt": serving.certificate, "serving.key": serving.key,
		"sa.key": private, "sa.pub": public,
	}); err != nil {
		return err
	}
	if p.config, err = p.login(ca, "admin", "kubernetes-admin", "system:masters"); err != nil {
		return err
	}
	p.kubeconfig = p.file("admin.kubeconfig")
	p.client, err = kubernetes.NewForConfig(p.config)
	if err != nil {
		return fmt.Errorf("make the admin client: %w", err)
	}
	for _, name := range []string{"controller-manager", "scheduler"} {
		if _, err := p.login(ca, name, "system:kube-"+name); err != nil {
			return err
		}
	}
	if p.options.Node {
		return p.prepareNode(ca)
	}
	return nil
}

// prepareNode makes the credentials of the node's programs, and that with which
// the API server calls the kubelet.
func (p *plane) prepareNode(ca *authority) error {
	serving, err := ca.serving("system:node:"+nodeName, nodeName, nodeAddress)
	if err != nil {
		return err
	}
	client, err := ca.client("kube-apiserver-kubelet-client", "system:masters")
	if err != nil {
		return err
	}
	if err := p.write(map[string][]byte{
		"kubelet.crt": serving.certificate, "kubelet.key": serving.key,
		"kubelet-client.crt": client.certificate, "kubelet-client.key": client.key,
	}); err != nil {
		return err
	}
	if _, err := p.login(ca, "kubelet", "system:node:"+nodeName, "system:nodes"); err != nil {
		return err
	}
	_, err = p.login(ca, "kube-proxy", "system:kube-proxy")
	return err
}

// login makes credentials for a user, writes them to a kubeconfig file of the
// given name and returns them.
func (p *plane) login(ca *authority, name, user string, groups ...string) (*rest.Config, error) {
	pair, err := ca.client(user, groups...)
	if err != nil {
		return nil, err
	}
	config := clientConfig(p.apiPort, ca, pair)
	kubeconfig := clientcmdapi.NewConfig()
	kubeconfig.Clusters["slipway"] = &clientcmdapi.Cluster{
		Server: config.Host, CertificateAuthorityData: config.CAData,
	}
	kubeconfig.AuthInfos[user] = &clientcmdapi.AuthInfo{
		ClientCertificateData: config.CertData, ClientKeyData: config.KeyData,
	}
	kubeconfig.Contexts["slipway"] = &clientcmdapi.Context{Cluster: "slipway", AuthInfo: user}
	kubeconfig.CurrentContext = "slipway"
	if err := clientcmd.WriteToFile(*kubeconfig, p.file(name+".kubeconfig")); err != nil {
		return nil, fmt.Errorf("write the kubeconfig of %s: %w", user, err)
	}
	return config, nil
}

// clientConfig configures a client of a server on a loopback port.
func clientConfig(port int, ca *authority, client keyPair) *rest.Config {
	return &rest.Config{
		Host: httpsURL(port),
		// Tests create thousands of objects; five a second, which is the
		// default, would be a test of patience.
		QPS: -1,
		TLSClientConfig: rest.TLSClientConfig{
			CAData: ca.pem.certificate, CertData: client.certificate, KeyData: client.key,
		},
	}
}

// unnamed configures a client without a user.
func (p *plane) unnamed(host string, port int) *rest.Config {
	return &rest.Config{
		Host:            "https://" + net.JoinHostPort(host, strconv.Itoa(port)),
		TLSClientConfig: rest.TLSClientConfig{CAData: p.config.CAData},
	}
}

func (p *plane) write(files map[string][]byte) error {
	for name, content := range files {
		if err := os.WriteFile(p.file(name), content, 0o600); err != nil {
			return fmt.Errorf("write a key or certificate: %w", err)
		}
	}
	return nil
}
