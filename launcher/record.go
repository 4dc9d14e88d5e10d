package launcher

import (
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-hub/slipway/policy"
)

// record is what is kept of a pod. There may be 10,000 of them, so it is small, and it is made where the pod is received.
type record struct {
	// ObjectMeta has what a cache needs: namespace, name, uid, version.
	metav1.ObjectMeta

	server Server
	// envSecret is the name that the pod gives its env Secret; "" for a pod of another program.
	envSecret string
	// stage is how far the server is, for progress.
	stage string
	// trouble holds the server up, or has ended it.
	trouble trouble
}

// slim is the transform of the pods' cache. It may get what it gave.
func (l *Launcher) slim(object any) (any, error) {
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return object, nil
	}
	return l.recordOf(pod), nil
}

func (l *Launcher) recordOf(pod *corev1.Pod) *record {
	server, trouble := serverOf(pod, l.hopeless)
	return &record{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, ResourceVersion: pod.ResourceVersion},
		server:     *server,
		envSecret:  pod.Annotations[policy.AnnotationEnvSecret],
		stage:      stage(pod),
		trouble:    trouble,
	}
}

// ServerOf reads a server from its pod.
func ServerOf(pod *corev1.Pod) *Server {
	s, _ := serverOf(pod, isHopeless(DefaultHopeless))
	return s
}

func serverOf(pod *corev1.Pod, hopeless func(reason string) bool) (*Server, trouble) {
	s := &Server{
		Key:       keyOf(pod),
		Namespace: pod.Namespace,
		Pod:       pod.Name,
		UID:       string(pod.UID),
		StartID8:  startIDOf(pod),
		Profile:   pod.Annotations[policy.AnnotationProfile],
		Created:   pod.CreationTimestamp.Time,
		URL:       urlOf(pod),
	}
	why := troubleOf(pod)
	s.Message = why.message
	switch {
	case pod.DeletionTimestamp != nil:
		s.State, s.Message = Stopping, "The server is being stopped"
	case hasStopped(pod):
		s.State, s.ExitCode = Stopped, exitCode(pod)
	case isRunning(pod):
		s.State, s.Message = Running, ""
	case why.unmendable && hopeless(why.reason):
		s.State = Failed
	default:
		s.State = Pending
		if s.Message == "" {
			s.Message = stage(pod)
		}
	}
	return s, why
}

func keyOf(pod *corev1.Pod) Key {
	return Key{Hub: pod.Labels[policy.LabelHub], User: pod.Annotations[policy.AnnotationUsername], Name: pod.Annotations[policy.AnnotationServername]}
}

// startIDOf is the end of the env Secret's name.
func startIDOf(pod *corev1.Pod) string {
	id, ok := strings.CutPrefix(pod.Annotations[policy.AnnotationEnvSecret], pod.Name+"-env-")
	if !ok {
		return ""
	}
	return id
}

// urlOf is where the hub reaches the server: as policy says, else at the pod's address and the port called notebook-port, whose number
// policy decides. Empty before the pod has an address.
func urlOf(pod *corev1.Pod) string {
	if pod.Status.PodIP == "" {
		return ""
	}
	if url := pod.Annotations[policy.AnnotationConnect]; url != "" {
		return url
	}
	for i := range pod.Spec.Containers {
		for _, p := range pod.Spec.Containers[i].Ports {
			if p.Name == notebookPort {
				return "http://" + net.JoinHostPort(pod.Status.PodIP, strconv.Itoa(int(p.ContainerPort)))
			}
		}
	}
	return ""
}

// notebookPort is the name of the port at which a hub reaches a server, as in KubeSpawner's pods.
const notebookPort = "notebook-port"

// hasStopped is KubeSpawner's notion: the notebook has ended, whatever other containers do, or the whole pod has.
func hasStopped(pod *corev1.Pod) bool {
	switch pod.Status.Phase {
	case corev1.PodFailed, corev1.PodSucceeded:
		return true
	case corev1.PodPending, "":
		return false
	default:
		return notebookEnd(pod) != nil
	}
}

// exitCode of a server that stopped; a pod that went before its notebook said one has 1.
func exitCode(pod *corev1.Pod) *int32 {
	if t := notebookEnd(pod); t != nil {
		return new(t.ExitCode)
	}
	return new(int32(1))
}

func notebookEnd(pod *corev1.Pod) *corev1.ContainerStateTerminated {
	for i := range pod.Status.ContainerStatuses {
		if s := &pod.Status.ContainerStatuses[i]; s.Name == policy.NotebookContainer {
			return s.State.Terminated
		}
	}
	return nil
}

// String names the server in messages.
func (k Key) String() string {
	if k.Name == "" {
		return fmt.Sprintf("the server of user %q of hub %q", k.User, k.Hub)
	}
	return fmt.Sprintf("server %q of user %q of hub %q", k.Name, k.User, k.Hub)
}

// encoded is an object as JSON, for those who read events.
func encoded(object any) []byte {
	text, err := json.Marshal(object)
	if err != nil {
		return nil // what came as JSON can be written as such
	}
	return text
}
