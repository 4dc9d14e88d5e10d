package launcher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-hub/slipway/policy"
)

// DefaultStartTimeout bounds a start whose request has no Timeout.
const DefaultStartTimeout = 5 * time.Minute

// Start asks for a server and waits until its pod is admitted and the Secret with its environment exists. It may be asked any number of
// times, by any replica, and again after a crash at any step: the same StartID is one start and has one pod.
//
// A refusal by policy is a *Denied, what else keeps the server from being started a *Failure; when the time is over, the error wraps
// context.DeadlineExceeded and says what it waited for.
func (l *Launcher) Start(ctx context.Context, req Request) (*Server, error) {
	if err := l.check(&req); err != nil {
		return nil, err
	}
	timeout := cmp.Or(req.Timeout, DefaultStartTimeout)
	over := fmt.Errorf("%s wasn't admitted within %s: %w", req.Key, timeout, context.DeadlineExceeded)
	patient, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), timeout, over)
	defer cancel()
	ctx, cancelCaller := context.WithTimeoutCause(ctx, timeout, over)
	defer cancelCaller()
	id8 := startID8(req.StartID)
	ctx, f := l.flights.begin(ctx, req.Key, id8)
	defer l.flights.end(f)
	s := &start{Launcher: l, req: &req, id8: id8, flight: f, patient: patient, begun: time.Now()}
	server, err := s.untilKnown(ctx)
	if why := f.whyRevoked(); why != nil {
		return nil, s.takeBack(why)
	}
	return server, err
}

// untilKnown tries until the pod is admitted, and this replica has heard of it.
func (s *start) untilKnown(ctx context.Context) (*Server, error) {
	if err := s.awaitSynced(ctx); err != nil {
		return nil, err
	}
	// From here on every change of the server's pods is noted, so that this one's can't be missed.
	changes := s.store.watchServer(ctx, s.req.Key)
	pod, err := s.untilAdmitted(ctx)
	if err != nil {
		return nil, err
	}
	return s.known(ctx, changes, pod), nil
}

// known waits until this replica's watch has heard of a pod, so that whoever asks next finds it.
func (l *Launcher) known(ctx context.Context, changes *watcher, pod *corev1.Pod) *Server {
	// The pod is there; that is what Start is for. A watch that is broken for the moment doesn't fail it.
	const patience = 10 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		n, err := changes.next(ctx)
		if err != nil {
			return l.recordOf(pod).copyOfServer()
		}
		if n.record.UID == pod.UID {
			return n.record.copyOfServer()
		}
	}
}

// start is one call of Start.
type start struct {
	*Launcher

	req *Request
	// id8 is what makes the env Secret's name of StartID.
	id8    string
	flight *flight
	// patient ends with the start's time, and not where it is stopped or its caller hangs up: what was sent is waited for, since it may have
	// been done.
	patient context.Context //nolint:containedctx // it lives as long as the call
	begun   time.Time
	// own are the pods of this start, made by this call or found.
	own []*corev1.Pod
	// made is the uid of the pod that this call made last, and since when it is there; empty where it made none.
	made      types.UID
	madeSince time.Time
	// namespace and pod are those of the last try; empty before it.
	namespace, pod string
	// set are the policies that the last try went by.
	set *policySet
	// replaced is when the last pod that made way was gone; zero where none did.
	replaced time.Time
	// looks counts how often policies and labels were read again because of a denial.
	looks int
}

// errTaken: another pod had the name, and is gone.
var errTaken = errors.New("another pod had the name")

// untilAdmitted tries until the pod and its Secret are there, it is refused for good, or ctx ends.
func (s *start) untilAdmitted(ctx context.Context) (*corev1.Pod, error) {
	wait := patience()
	var last error // what was answered last; a try that is cut off has no answer
	for {
		pod, err := s.try(ctx)
		if err == nil {
			return pod, nil
		}
		if ctx.Err() == nil || !errors.Is(err, ctx.Err()) {
			last = err
		}
		if ctx.Err() != nil {
			return nil, outOfTime(ctx, last)
		}
		var after time.Duration
		switch again, soonest := mayGoWell(err); {
		case errors.Is(err, errTaken):
		case again:
			after = soonest
		case s.isCountedStill(err):
		case !s.readAgain(ctx, err):
			return nil, err
		}
		s.flight.say(waitingAgain(err))
		s.log.V(1).Info("start is tried again", "hub", s.req.Hub, "pod namespace", s.req.Namespace, "reason", reasonOf(err))
		if !sleep(ctx, max(after, wait.Step())) {
			return nil, outOfTime(ctx, last)
		}
	}
}

// try makes the pod, or finds the one that another call of this start made, and then its Secret.
func (s *start) try(ctx context.Context) (*corev1.Pod, error) {
	s.set = s.policies.current.Load()
	at, err := s.place(ctx, s.set, s.req, true)
	if err != nil {
		return nil, err
	}
	in := s.input(s.req, at)
	names, denials := s.set.names(in)
	if len(denials) > 0 {
		return nil, deniedBy(denials)
	}
	id := in.Identity
	id.Name = names.Pod
	id.EnvSecret = names.Pod + envSecretInfix + s.id8
	id.EnvKeys = slices.Sorted(maps.Keys(s.secretData()))
	s.namespace, s.pod = at.Name, id.Name
	pod, err := s.elsewhere(ctx, at.Name, id.Name)
	if pod == nil && err == nil && ctx.Err() == nil {
		pod, err = s.client.CoreV1().Pods(at.Name).Create(s.patient, Skeleton(id, at.Name), metav1.CreateOptions{})
		if err == nil {
			s.made, s.madeSince = pod.UID, time.Now()
		}
		if apierrors.IsAlreadyExists(err) {
			pod, err = s.settle(ctx, at.Name, id.Name)
		}
	}
	switch {
	case err != nil:
		return nil, explainRefusal(err, at.Name, id.Name)
	case pod == nil:
		return nil, context.Cause(ctx)
	}
	s.own = append(s.own, pod)
	return pod, s.createSecret(pod)
}

// takeBack deletes what a start made before it was revoked, and gives the reason of that, with what went wrong now.
func (s *start) takeBack(why *Failure) error {
	const soon = 10 * time.Second
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.patient), soon)
	defer cancel()
	problems := []error{why}
	for _, pod := range s.own {
		problems = append(problems, s.remove(ctx, pod.Namespace, pod.Name, pod.UID, 0))
	}
	problems = append(problems, s.takeBackLast(ctx))
	if err := errors.Join(problems[1:]...); err == nil {
		return why
	}
	return errors.Join(problems...)
}

// takeBackLast deletes the pod that the last try may have made though it had no answer.
func (s *start) takeBackLast(ctx context.Context) error {
	if s.pod == "" || len(s.own) > 0 && s.own[len(s.own)-1].Name == s.pod {
		return nil
	}
	pod, err := s.client.CoreV1().Pods(s.namespace).Get(ctx, s.pod, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("look for the pod of a start that was stopped: %w", err)
	case keyOf(pod) != s.req.Key || startIDOf(pod) != s.id8:
		return nil
	}
	return s.remove(ctx, pod.Namespace, pod.Name, pod.UID, 0)
}

// envSecretInfix stands between a pod's name and its start id in the name of its env Secret.
const envSecretInfix = "-env-"

// elsewhere looks for a pod of this server under another name or in another namespace, which policy gave before it was changed: a
// server has one pod. Nil where there is none.
func (s *start) elsewhere(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	for _, r := range s.store.all(s.req.Key) {
		if r.Namespace == namespace && r.Name == name {
			continue
		}
		if pod, err := s.settle(ctx, r.Namespace, r.Name); !errors.Is(err, errTaken) {
			return pod, err
		}
	}
	return nil, nil //nolint:nilnil // there is none, and nothing is wrong
}

// settle decides what becomes of a pod that has the name: it is this start's own, or it makes way (errTaken), or it is somebody
// else's.
func (s *start) settle(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	pod, err := s.client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, errTaken
	case err != nil:
		return nil, err
	case keyOf(pod) != s.req.Key:
		return nil, deniedBy([]policy.Denial{takenBy(s.req.Key, pod)})
	}
	same := startIDOf(pod) == s.id8
	switch {
	case same && pod.DeletionTimestamp != nil:
		// Its Secret goes with it, and its name can't be used again without losing what is in it to garbage collection.
		return nil, &Failure{Message: "this start of " + s.req.Key.String() + " was stopped: start it anew, with another start id", Hopeless: true}
	case same:
		return pod, nil
	case pod.DeletionTimestamp == nil && pod.CreationTimestamp.After(s.begun):
		// Another replica was asked for it after this one. (Clocks that differ make one ask again at worst.)
		return nil, errSuperseded
	case pod.DeletionTimestamp == nil:
		s.flight.say("Stopping what is left of the server's last run")
		if err := s.remove(ctx, pod.Namespace, pod.Name, pod.UID, graceToReplace(pod)); err != nil {
			return nil, err
		}
	}
	s.flight.say("Waiting until the server's last run has ended")
	if err := s.store.awaitGone(ctx, s.recordOf(pod)); err != nil {
		return nil, err
	}
	s.replaced = time.Now()
	return nil, errTaken
}

// isCountedStill says of a refusal by quota whether it may be for the pod that made way: the quota's controller takes a moment.
func (s *start) isCountedStill(err error) bool {
	const moment = 10 * time.Second
	return isQuotaExceeded(err) && !s.replaced.IsZero() && time.Since(s.replaced) < moment
}

// takenBy says that a pod's name is taken by somebody else's server.
func takenBy(wanted Key, pod *corev1.Pod) policy.Denial {
	whose := "isn't a server of any hub"
	switch has := keyOf(pod); {
	case has.Hub == wanted.Hub && has.User != "":
		whose = "is " + has.String()
	case has.Hub != "" && has.User != "":
		whose = "is a server of another hub" // whose users are no business of this one
	}
	return policy.Denial{
		Code: policy.IdentityConflict, Field: "metadata.name",
		Message: fmt.Sprintf("pod %s in namespace %s is there already and %s, so it can't be %s: have policy name them differently, or have that pod removed",
			pod.Name, pod.Namespace, whose, wanted),
	}
}

// graceToReplace is the time that a server has to end when another takes its place, as KubeSpawner's delete_grace_period.
func graceToReplace(pod *corev1.Pod) time.Duration {
	if hasStopped(pod) || pod.Status.Phase != corev1.PodRunning {
		return 0
	}
	return defaultGrace
}

// remove deletes just this pod; it is no error if it's gone, or another has its name.
func (l *Launcher) remove(ctx context.Context, namespace, name string, uid types.UID, grace time.Duration) error {
	err := l.client.CoreV1().Pods(namespace).Delete(ctx, name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &uid}, GracePeriodSeconds: new(int64(grace.Seconds())),
	})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

// secretData is what goes into the env Secret.
func (s *start) secretData() map[string][]byte {
	data := make(map[string][]byte, len(s.req.Env)+len(s.req.Files))
	for _, from := range []map[string]string{s.req.Env, s.req.Files} {
		for key, value := range from {
			data[key] = []byte(value)
		}
	}
	return data
}

// createSecret makes the Secret that the pod names. That it is there already is as good: another call of this start made it (but see
// mayBeLeftOver). Where it is refused for good, the pod could never run, so it goes.
func (s *start) createSecret(pod *corev1.Pod) error {
	_, err := s.client.CoreV1().Secrets(pod.Namespace).Create(s.patient, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name:            pod.Annotations[policy.AnnotationEnvSecret],
			Labels:          map[string]string{policy.LabelHub: s.req.Hub},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID}},
		},
		Type: EnvSecretType, Immutable: new(true), Data: s.secretData(),
	}, metav1.CreateOptions{})
	switch {
	case apierrors.IsAlreadyExists(err) && s.mayBeLeftOver(pod):
		return &Failure{Message: "waiting until the Secret of the server's last pod is gone"}
	case err == nil, apierrors.IsAlreadyExists(err):
		return nil
	}
	err = explainSecret(err, pod)
	if again, _ := mayGoWell(err); again || s.patient.Err() != nil {
		return err
	}
	const soon = 10 * time.Second
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.patient), soon)
	defer cancel()
	return errors.Join(err, s.remove(ctx, pod.Namespace, pod.Name, pod.UID, 0))
}

// mayBeLeftOver says of a Secret that is there already whether it may be that of a pod of this start that is gone: garbage collection is
// about to take it, and with it the environment. A launcher may not read Secrets, so it can only wait for a while; where this call found
// the pod instead of making it, the call that did has seen to that.
func (s *start) mayBeLeftOver(pod *corev1.Pod) bool {
	const moment = 10 * time.Second
	return pod.UID == s.made && time.Since(s.madeSince) < moment
}

// EnvSecretType is the type of the Secrets that a launcher makes, and the only one that it may make.
const EnvSecretType corev1.SecretType = "slipway.dev/env"
