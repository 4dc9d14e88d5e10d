package certs

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// keep looks at everything once, does what there is to do, and says how long nothing has to be done if nothing happens.
func (k *Keeper) keep(ctx context.Context) (again time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	now, before, leading := k.o.Now(), k.state.Load(), k.term.Load()
	own, due, renewErr := k.renew(ctx, leading, now)
	next, missing := k.read(own, now)
	s := &state{served: before.served, next: next, missing: missing, registered: before.registered}
	configurations := k.readConfigurations()
	publishErr := k.publish(ctx, leading, own, configurations, s.needs(), now)
	wait := k.goOver(s, configurations, now)
	k.state.Store(s)
	k.report(before, s)

	again = k.o.LookEvery
	if wait > 0 {
		again = min(again, wait)
	}
	if !due.IsZero() {
		again = min(again, max(due.Sub(now), retryFirst))
	}
	err = errors.Join(renewErr, publishErr)
	k.say(ctx, s, err)
	return again, err
}

// say logs trouble once, not each time it is met.
func (k *Keeper) say(ctx context.Context, s *state, err error) {
	trouble := errors.Join(s.missing, err)
	if errors.Is(ctx.Err(), context.Canceled) || apierrors.IsConflict(err) {
		return // it ends; or another replica was faster, and the next look sees what it did
	}
	text := ""
	if trouble != nil {
		text = trouble.Error()
	}
	if text == k.said {
		return
	}
	k.said = text
	switch {
	case err != nil:
		k.o.Log.Error(trouble, "can't keep the serving certificate")
	case trouble != nil:
		k.o.Log.Info("waiting for a serving certificate", "why", text, "serving", s.served != nil)
	}
}

// report has it told if this replica needs others trusted than before.
func (k *Keeper) report(before, now *state) {
	if before.needs().String() != now.needs().String() {
		select {
		case k.changed <- struct{}{}:
		default:
		}
	}
}

// renew gives the Secret with this mode's pair, after the leader has made a new one if that had to be, and when the next
// has to be made.
func (k *Keeper) renew(ctx context.Context, leading *term, now time.Time) (own *corev1.Secret, due time.Time, err error) {
	own = k.own.secret()
	if own == nil || leading == nil || k.o.Mode != SelfSignedMode {
		return own, time.Time{}, nil
	}
	why, due, err := renewal(own, k.o.Hosts, now)
	if why == "" {
		return own, due, err
	}
	renewed, err := k.issue(ctx, own, now)
	if err != nil {
		return own, time.Time{}, err
	}
	p, err := readPair(renewed.Data, k.o.Hosts, now)
	if err != nil {
		return own, time.Time{}, fmt.Errorf("read the serving certificate that was just made: %w", err)
	}
	k.o.Log.Info("made a serving certificate", append(p.logged(), "why", why)...)
	return renewed, time.Time{}, nil
}

// read checks the pair in the Secret of this mode.
func (k *Keeper) read(own *corev1.Secret, now time.Time) (*pair, error) {
	name := k.o.Namespace + "/" + k.own.name
	switch {
	case own == nil && k.o.Mode == SelfSignedMode:
		return nil, fmt.Errorf("the Secret %s is missing; the chart makes it, so run helm upgrade again", name)
	case own == nil:
		return nil, fmt.Errorf("the Secret %s is missing; cert-manager makes it for a Certificate: see kubectl -n %s describe certificates", name, k.o.Namespace)
	}
	p, err := readPair(own.Data, k.o.Hosts, now)
	if err != nil {
		return nil, fmt.Errorf("the Secret %s: %w", name, err)
	}
	return p, nil
}

// readConfigurations gives those that exist.
func (k *Keeper) readConfigurations() []*registered {
	var all []*registered
	for _, c := range k.configurations {
		if object := c.object(); object != nil {
			all = append(all, readRegistered(object))
		}
	}
	return all
}

// publish has clients trust who is needed, and leaves the configurations as they are then.
func (k *Keeper) publish(ctx context.Context, leading *term, own *corev1.Secret, configurations []*registered, needs authorities, now time.Time) error {
	bundle := k.bundle.secret()
	if bundle == nil {
		return fmt.Errorf("the Secret %s/%s is missing; the chart makes it, so run helm upgrade again", k.o.Namespace, k.bundle.name)
	}
	held, unreadable := readAuthorities(bundle.Data[CAFile])
	drop := k.unneeded(leading, own, held, configurations, needs, now)
	wanted := held.unexpired(now).without(drop.has).with(needs.unexpired(now)...)
	observeAuthorities(len(wanted))
	var errs []error
	if unreadable != nil || len(wanted) != len(held) || len(wanted.missing(held)) > 0 {
		errs = append(errs, k.writeBundle(ctx, bundle, held, wanted))
	}
	if k.o.Mode == SelfSignedMode {
		for i, c := range configurations {
			var err error
			if configurations[i], err = k.writeCABundle(ctx, c, wanted, drop); err != nil {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

func (k *Keeper) writeBundle(ctx context.Context, bundle *corev1.Secret, held, wanted authorities) error {
	changed := bundle.DeepCopy()
	if changed.Data == nil {
		changed.Data = map[string][]byte{}
	}
	changed.Data[CAFile] = wanted.pem()
	if _, err := k.secrets.Update(ctx, changed, metav1.UpdateOptions{FieldManager: k.o.FieldManager}); err != nil {
		return fmt.Errorf("write the authorities into Secret %s/%s: %w", k.o.Namespace, k.bundle.name, err)
	}
	k.o.Log.Info("wrote whom to trust", "added", wanted.missing(held).String(), "dropped", held.missing(wanted).String(), "authorities", len(wanted))
	return nil
}

// writeCABundle gives the configuration as it is then.
func (k *Keeper) writeCABundle(ctx context.Context, c *registered, wanted authorities, drop names) (*registered, error) {
	changes := c.changes(wanted, drop)
	if changes == nil {
		return c, nil
	}
	patched, err := k.registrar.patch(ctx, c, changes)
	switch {
	case apierrors.IsNotFound(err):
		return c, nil // it was deleted meanwhile
	case err != nil:
		return c, err
	}
	before, after := c.all(), patched.all()
	k.o.Log.Info("wrote a caBundle", "configuration", c.name, "added", after.missing(before).String(), "dropped", before.missing(after).String(), "authorities", len(after))
	return patched, nil
}

// unneeded are the authorities to be dropped. Whoever doesn't lead drops none.
func (k *Keeper) unneeded(leading *term, own *corev1.Secret, held authorities, configurations []*registered, needs authorities, now time.Time) names {
	if leading == nil {
		k.idle = idle{}
		return nil
	}
	present := held
	for _, c := range configurations {
		present = present.with(c.all()...)
	}
	var needed names
	if leading.leases != nil {
		var err error
		if needed, err = reportedNeeds(leading.leases.List()); err != nil {
			k.o.Log.V(1).Info("drops no authority", "why", err.Error())
		}
	}
	if needed != nil {
		// What is in a Secret is about to be served, in this mode or in the one that replicas come from.
		for _, secret := range []*corev1.Secret{own, k.other.secret()} {
			if secret != nil {
				cas, _ := readAuthorities(secret.Data[CAFile])
				needs = needs.with(cas...)
			}
		}
		for _, name := range needs.fingerprints() {
			needed[name] = true
		}
	}
	return k.idle.dropped(present, needed, k.o.DropAfter, now)
}

func (k *Keeper) observeTrust(s *state, configurations []*registered, now time.Time) {
	accepted := names{}
	for _, p := range []*pair{s.served, s.next} {
		if p != nil && accept(configurations, p, now) == nil {
			accepted[p.authority()] = true
		}
	}
	var changed time.Time
	for _, c := range configurations {
		if c.changed.After(changed) {
			changed = c.changed
		}
	}
	k.trust.observe(accepted, changed, now)
}

// goOver has the next pair served if that is due, judges whether the API server trusts what is served, and says how long to
// wait if time alone is missing; 0: it isn't.
func (k *Keeper) goOver(s *state, configurations []*registered, now time.Time) (wait time.Duration) {
	k.observeTrust(s, configurations, now)
	if s.next.same(s.served) {
		s.served, s.next = s.next, nil // its authorities may be others than before
	}
	if s.next != nil {
		var settled bool
		settled, wait = k.trust.settled(s.next.authority(), k.o.PropagationDelay, now)
		if settled || s.served == nil || validAt(s.served.leaf(), now) != nil {
			s.served, s.next = s.next, nil
			k.o.Log.Info("serves with a new certificate", s.served.logged()...)
			observeServed(s.served.leaf())
		}
	}
	var more time.Duration
	more, s.unregistered = k.registration(s, configurations, now)
	observeTrusted(s.unregistered == nil)
	return max(wait, more)
}

// registration says why the API server can't be expected to call this replica, and how long until it can if nothing but
// time is missing.
func (k *Keeper) registration(s *state, configurations []*registered, now time.Time) (time.Duration, error) {
	if s.served == nil {
		return 0, errNotLoaded
	}
	if err := validAt(s.served.leaf(), now); err != nil {
		return 0, err
	}
	if err := accept(configurations, s.served, now); err != nil {
		return 0, err
	}
	if s.registered {
		return 0, nil
	}
	if len(configurations) < len(k.configurations) {
		return 0, k.missingConfiguration()
	}
	settled, wait := k.trust.settled(s.served.authority(), k.o.PropagationDelay, now)
	if !settled {
		return wait, fmt.Errorf("the webhook configurations trust the serving certificate since just now; API servers are given %s to notice", k.o.PropagationDelay)
	}
	s.registered = true
	return 0, nil
}

func (k *Keeper) missingConfiguration() error {
	for _, c := range k.configurations {
		if c.object() == nil {
			return fmt.Errorf("the webhook configuration %s is missing; the chart makes it, so run helm upgrade again", c.name)
		}
	}
	return errNotRead
}
