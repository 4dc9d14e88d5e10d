package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/slipway-hub/slipway/certs"
	"github.com/slipway-hub/slipway/policy"
	"github.com/slipway-hub/slipway/webhook"
)

// Where and as whom alice's server is started; the example policies say the same.
const (
	namespace    = "data101"
	hub          = "campus"
	hubNamespace = "jupyter"
	hubAccount   = "hub"
)

// accounts are the namespaces, and the hub's account with no more rights than a launcher needs.
const accounts = `
apiVersion: v1
kind: Namespace
metadata: {name: ` + hubNamespace + `}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: ` + hubAccount + `, namespace: ` + hubNamespace + `}
---
apiVersion: v1
kind: Namespace
metadata: {name: ` + namespace + `, labels: {tier: teaching}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: slipway-demo-launcher, namespace: ` + namespace + `}
rules:
  - {apiGroups: [""], resources: [pods], verbs: [create, get, list, watch, delete]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: slipway-demo-launcher, namespace: ` + namespace + `}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: slipway-demo-launcher}
subjects:
  - {kind: ServiceAccount, name: ` + hubAccount + `, namespace: ` + hubNamespace + `}
`

// install puts everything into the cluster that a skeleton meets there.
func (d *demo) install(ctx context.Context) (err error) {
	if d.folder, err = os.MkdirTemp("", "slipway-demo-"); err != nil {
		return fmt.Errorf("make a folder for credentials: %w", err)
	}
	crds, err := objectsOf("charts/slipway/files/crds")
	if err != nil {
		return err
	}
	for _, crd := range crds {
		if err := d.installCRD(ctx, crd); err != nil {
			return err
		}
	}
	rest, err := objectsIn([]byte(accounts))
	if err != nil {
		return err
	}
	policies, err := objectsOf(examples)
	if err != nil {
		return err
	}
	for _, o := range append(rest, policies...) {
		if err := d.plane.create(ctx, o); err != nil {
			return err
		}
	}
	if err := d.ensureDefaultAccount(ctx); err != nil {
		return err
	}
	return d.startWebhook(ctx)
}

// installCRD leaves a definition alone that a given cluster has already.
func (d *demo) installCRD(ctx context.Context, crd *unstructured.Unstructured) error {
	err := d.plane.client.Get(ctx, client.ObjectKeyFromObject(crd), crd.DeepCopy())
	switch {
	case apierrors.IsNotFound(err):
		if err := d.plane.create(ctx, crd); err != nil {
			return err
		}
	case err != nil:
		return fmt.Errorf("look for %s: %w", crd.GetName(), err)
	}
	return until(ctx, crd.GetName()+" is served", func(ctx context.Context) (bool, error) {
		now := crd.DeepCopy()
		if err := d.plane.client.Get(ctx, client.ObjectKeyFromObject(crd), now); err != nil {
			return false, err
		}
		conditions, _, _ := unstructured.NestedSlice(now.Object, "status", "conditions")
		for _, c := range conditions {
			if c, ok := c.(map[string]any); ok && c["type"] == "Established" && c["status"] == "True" {
				return true, nil
			}
		}
		return false, nil
	})
}

// ensureDefaultAccount: no pod can be created before a namespace has that account, and our control plane runs no
// controller that makes it.
func (d *demo) ensureDefaultAccount(ctx context.Context) error {
	clients, err := kubernetes.NewForConfig(d.plane.config)
	if err != nil {
		return fmt.Errorf("reach the cluster: %w", err)
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	_, err = clients.CoreV1().ServiceAccounts(namespace).Create(ctx, account, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create the account default: %w", err)
	}
	return nil
}

// startWebhook runs the webhook in this process and tells the API server of it.
func (d *demo) startWebhook(ctx context.Context) error {
	host := os.Getenv("DEMO_WEBHOOK_HOST")
	if host == "" {
		host = "127.0.0.1"
	}
	ports, err := freePorts(2)
	if err != nil {
		return err
	}
	pair, err := certs.SelfSigned([]string{host}, time.Now(), 24*time.Hour)
	if err != nil {
		return err
	}
	if err := pair.Write(d.folder); err != nil {
		return err
	}
	probes := net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[1]))
	d.serve(ctx, webhook.Options{
		Config: d.plane.config, Port: ports[0], CertDir: d.folder, MetricsBindAddress: "0", HealthProbeBindAddress: probes,
	})
	if err := until(ctx, "the webhook is ready", d.ready("http://"+probes+"/readyz")); err != nil {
		return err
	}
	return d.register(ctx, host, ports[0], pair.CA)
}

// serve runs the webhook until stopWebhook.
func (d *demo) serve(ctx context.Context, o webhook.Options) {
	// It outlives an interrupt for as long as the demo itself needs it.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- webhook.Run(ctx, o) }()
	d.stopWebhook = func() error {
		cancel()
		return <-ended
	}
}

// ready asks the webhook's own readiness.
func (d *demo) ready(url string) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			return false, err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return false, nil //nolint:nilerr // it doesn't listen yet
		}
		return response.StatusCode == http.StatusOK, response.Body.Close()
	}
}

// register tells the API server to ask the webhook about the hub's pods, in the namespace of the demo alone: in a given
// cluster nobody else may notice.
func (d *demo) register(ctx context.Context, host string, port int, ca []byte) error {
	at := webhook.AtAddress(host, port, ca)
	here := &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}}
	mutating := webhook.Configuration(at)
	mutating.Name += "-demo"
	mutating.Webhooks[0].NamespaceSelector = here
	validating := webhook.VerifyConfiguration(at, []string{"system:serviceaccount:" + hubNamespace + ":" + hubAccount})
	validating.Name += "-demo"
	validating.Webhooks[0].NamespaceSelector = here
	judging := webhook.PolicyConfiguration(at)
	judging.Name += "-demo"
	judging.Webhooks[0].NamespaceSelector = here
	judging.Webhooks[0].Rules[0].Resources = []string{"spawnpolicies"} // a cluster's are in no namespace, so in everybody's
	for _, configuration := range []any{mutating, validating, judging} {
		object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(configuration)
		if err != nil {
			return fmt.Errorf("encode a webhook configuration: %w", err)
		}
		if err := d.plane.create(ctx, &unstructured.Unstructured{Object: object}); err != nil {
			return err
		}
	}
	return nil
}

// logIn gets a token of the hub's own account, as a pod of the hub would have it, and makes clients with it.
func (d *demo) logIn(ctx context.Context) error {
	admin, err := kubernetes.NewForConfig(d.plane.config)
	if err != nil {
		return fmt.Errorf("reach the cluster: %w", err)
	}
	d.admin = admin
	request, err := admin.CoreV1().ServiceAccounts(hubNamespace).CreateToken(ctx, hubAccount, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("get a token of the hub's account: %w", err)
	}
	config := rest.AnonymousClientConfig(d.plane.config)
	config.BearerToken = request.Status.Token
	config.WarningHandlerWithContext = rest.NoWarnings{}
	if d.hub, err = kubernetes.NewForConfig(config); err != nil {
		return fmt.Errorf("reach the cluster as the hub: %w", err)
	}
	file := clientcmdapi.NewConfig()
	file.Clusters["demo"] = &clientcmdapi.Cluster{
		Server: config.Host, CertificateAuthority: config.CAFile, CertificateAuthorityData: config.CAData,
		InsecureSkipTLSVerify: config.Insecure, TLSServerName: config.ServerName,
	}
	file.AuthInfos["hub"] = &clientcmdapi.AuthInfo{Token: config.BearerToken}
	file.Contexts["demo"] = &clientcmdapi.Context{Cluster: "demo", AuthInfo: "hub"}
	file.CurrentContext = "demo"
	d.hubKubeconfig = filepath.Join(d.folder, "hub.kubeconfig")
	if err := clientcmd.WriteToFile(*file, d.hubKubeconfig); err != nil {
		return fmt.Errorf("write the hub's kubeconfig: %w", err)
	}
	return nil
}

// objectsOf reads all YAML files of a folder.
func objectsOf(folder string) ([]*unstructured.Unstructured, error) {
	names, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil || len(names) == 0 {
		return nil, fmt.Errorf("no YAML files in %s: run make demo in the root of the checkout", folder)
	}
	var objects []*unstructured.Unstructured
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		found, err := objectsIn(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		objects = append(objects, found...)
	}
	return objects, nil
}

func objectsIn(data []byte) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	documents := policy.Documents(data)
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(document, &o.Object); err != nil {
			return nil, err
		}
		if len(o.Object) > 0 {
			objects = append(objects, o)
		}
	}
}

// freePorts finds different ports of the loopback address that nobody listened on just now.
func freePorts(n int) (ports []int, err error) {
	var held []net.Listener
	defer func() {
		for _, l := range held {
			err = errors.Join(err, l.Close())
		}
	}()
	for range n {
		listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it is there before a context could end
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		held = append(held, listener)
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
