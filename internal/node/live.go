// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"time"

	"chive/directory/record"
	"chive/internal/config"
	"chive/relay"
	"chive/relay/exit"
)

// DeclaringOf returns what a configuration says that a relay is.
func DeclaringOf(cfg *config.Config) Declaring {
	r := &cfg.Relay
	d := Declaring{Addresses: r.Addresses, Family: r.Family, About: About{Nickname: r.Nickname, Contact: r.Contact}}
	d.Withdrawn = Withdrawn{cfg.Given("relay.nickname") && r.Nickname == "", cfg.Given("relay.contact") && r.Contact == ""}
	if cfg.Given("relay.rate") {
		d.Rate = r.Rate.String()
	}
	if cfg.Given("relay.exit.policy") {
		d.Exit = r.Exit.Policy
	}
	return d
}

// MetricsOf returns where a configuration has the relay's metrics: RelayOptions.Metrics.
func MetricsOf(cfg *config.Config) string {
	if at := cfg.Relay.Metrics.Listen; !at.IsOff() {
		return at.Or(config.DefaultMetrics)
	}
	return ""
}

// DrainOf returns how long a configuration gives open circuits: RelayOptions.Drain.
func DrainOf(cfg *config.Config) time.Duration {
	if cfg.Relay.Drain == 0 {
		return -1 // none, where 0 is the usual time
	}
	return cfg.Relay.Drain
}

// follow has the client's listeners follow the configuration. Spec: product CFG-4.
func (r *clientRun) follow() {
	r.o.Effect.follow(func(_, next *config.Config) (p prepared, err error) {
		p.commit, p.drop, err = r.front.change(FrontOf(next, r.o.System, r.o.Socks.Answers))
		return p, err
	}, "client.socks", "client.listener.", "client.dns.listen", "web.listen")
}

// follow has the relay follow the configuration in what it declares, in how long it
// drains, and in where its metrics are. Its rate and quota do so already.
// Spec: product CFG-4.
func (r *relayRun) follow() {
	e := r.o.Effect
	e.follow(r.redeclare, "relay.nickname", "relay.contact", "relay.family", "relay.exit.policy")
	e.follow(func(now, next *config.Config) (prepared, error) {
		drain := DrainOf(next)
		if DrainOf(now) == drain {
			return prepared{}, nil
		}
		return prepared{commit: func() { r.setDrain(drain) }}, nil
	}, "relay.drain")
	e.follow(func(_, next *config.Config) (p prepared, err error) {
		p.commit, p.drop, err = r.metrics.change(MetricsOf(next))
		return p, err
	}, "relay.metrics.listen")
}

// setDrain changes how long open circuits are given.
func (r *relayRun) setDrain(drain time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.o.Drain = drain
	r.live.Load().SetDrainTimeout(drain)
	r.allowed.setDrain(drain, time.Now())
}

// setDrain changes what is kept of a quota for a drain.
func (a *allowance) setDrain(drain time.Duration, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.drain = max(cmp.Or(drain, drainTime), 0)
	if a.quota != nil {
		a.quota.Set(a.accounting(a.limits), now)
	}
	a.bindLocked(now)
}

// redeclare prepares another declaration: who the operator is, and what the exit permits.
// It is kept for later runs before it is in force. The addresses stay those of the start.
func (r *relayRun) redeclare(_, next *config.Config) (p prepared, err error) {
	said := DeclaringOf(next)
	said.Addresses = nil
	d, err := r.state.declare(said)
	if err != nil {
		return p, err
	}
	was := r.declares()
	d.Addresses = was.Addresses
	if err := d.joinFamily(r.doc.NetworkID(), r.rid); err != nil {
		return p, err
	}
	if d.same(was) {
		return p, nil
	}
	if err := r.live.Load().CheckAbout(r.about(d, d.RateKbit)); err != nil {
		return p, aboutFault(err)
	}
	e := r.exit.Load()
	if e == nil && d.isExit() {
		if e, err = r.newExit(d); err != nil {
			return p, err
		}
	}
	if err := r.state.keepDeclared(d); err != nil {
		return p, err
	}
	if !bytes.Equal(d.rules, was.rules) {
		p.also = append(p.also, "relay.exit.policy")
	}
	if d.Nickname != was.Nickname { // an empty text that was not written before shows as the default
		p.also = append(p.also, "relay.nickname")
	}
	if d.Contact != was.Contact {
		p.also = append(p.also, "relay.contact")
	}
	p.drop = func() { _ = r.state.keepDeclared(was) } // what the configuration says is said again at the next start
	p.commit = func() {
		r.become(d, e)
		if d.unseen() && !bytes.Equal(d.rules, was.rules) { // as the start says it
			teller(r.o.Tell)(unseenNote + ".")
		}
	}
	return p, nil
}

// declareRate has the descriptor say the rate that the relay may carry now, and reports
// whether the newest one does. Spec: product REL-4.
func (r *relayRun) declareRate(now time.Time) (said bool) {
	rate := r.allowed.declared(r.declares().RateKbit, now)
	role := r.live.Load()
	_ = role.SetRate(rate) // any rate can be said
	return role.Declares(rate)
}

// become puts a declaration into force. e is the exit, of a relay that is one or was:
// streams that it has go on, and those to come are judged by the policy that d has.
func (r *relayRun) become(d *declared, e *exit.Exit) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.declared.Store(d)
	role := r.live.Load()
	if e != nil {
		e.SetPolicy(d.policy)
		r.exit.Store(e)
	}
	if !d.isExit() {
		e = nil
	}
	role.SetExit(e)
	_ = role.ChangeAbout(func(a *relay.About) { *a = r.about(d, r.allowed.declared(d.RateKbit, time.Now())) }) // it was checked
}

// same reports whether both declare the same.
func (d *declared) same(other *declared) bool {
	mine, err := json.Marshal(d.declaration)
	theirs, wrong := json.Marshal(other.declaration)
	return err == nil && wrong == nil && bytes.Equal(mine, theirs) && bytes.Equal(d.rules, other.rules) &&
		slices.Equal(d.policy.Summary(), other.policy.Summary())
}

// about is a declaration as the descriptor says it, with a rate in kbit/s.
func (r *relayRun) about(d *declared, rate uint32) relay.About {
	a := relay.About{
		Addresses: r.addresses(d), Rate: rate, Roles: roles, Policy: d.policy.Summary(),
		Nickname: d.Nickname, Contact: d.Contact, Software: software(r.o.Version),
	}
	if d.isExit() {
		a.Roles |= record.RoleExit
	}
	if d.Family != nil {
		a.Family = &record.Family{Key: d.Family.Key, Signature: d.Family.Signature}
	}
	return a
}

// newExit makes the exit of a relay that is one.
func (r *relayRun) newExit(d *declared) (*exit.Exit, error) {
	e, err := newExit(r.allowed.network(), d.policy, r.doc.Testnet, func() []netip.AddrPort { return r.addresses(r.declares()) }, func(a netip.AddrPort) bool {
		running := r.live.Load()
		return running != nil && running.IsRelay(a)
	})
	if err != nil {
		return nil, fault(Failed, "relay_failed", "Report this as a fault of chive.", "The exit cannot be set up")
	}
	return e, nil
}

// aboutFault says why what a relay declares cannot be published.
func aboutFault(err error) error {
	if errors.Is(err, relay.ErrAbout) {
		return fault(Usage, "about_refused", "Say again what the relay is: chive relay init.", "What this relay declares cannot be published (%s)", oneLine(err))
	}
	return fault(Failed, "relay_failed", "Report this as a fault of chive.", "The relay cannot be set up")
}

// declares returns what the relay declares. It is not changed.
func (r *relayRun) declares() *declared { return r.declared.Load() }
