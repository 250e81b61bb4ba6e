// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"context"
	"errors"
	"math"
	"net"
	"strings"
	"sync"
	"time"

	"chive/client"
	"chive/directory/genesis"
	"chive/internal/control"
	"chive/internal/limit"
	"chive/internal/metrics"
	"chive/internal/redact"
	"chive/relay"
	"chive/relay/exit"
)

// metricsKey is what an operator turns metrics on with.
const metricsKey = "relay.metrics.listen"

// metricsListener opens the place where Prometheus fetches numbers: loopback or a unix
// socket, host:port or unix:/path. Nothing is opened for "" and "off": then it is nil.
// Spec: product REL-10.
func metricsListener(text string) (net.Listener, error) {
	network, address, err := metrics.ParseListen(text)
	switch {
	case err != nil:
		return nil, fault(Usage, "metrics_remote", metrics.ListenFix, "%s = %q is no loopback address and no unix socket", metricsKey, text)
	case network == "":
		return nil, nil
	case network == "unix":
		if err := checkSocketAt("metrics", address); err != nil {
			return nil, metricsFault(text, err)
		}
		l, err := listenUnix(metricsKey, address, control.Answers)
		if err != nil {
			return nil, metricsFault(text, err)
		}
		return l.Listener, nil
	}
	l, err := net.Listen(network, address)
	if err != nil {
		return nil, metricsFault(text, listenFault(metricsKey, address, err))
	}
	return l, nil
}

// metricsFault says what to write instead, in words of the configuration.
func metricsFault(text string, err error) error {
	var f *Fault
	if !errors.As(err, &f) {
		return err
	}
	other := otherPort(text)
	if other == "IP:PORT" {
		other = "unix:/PATH"
	}
	return fault(Usage, "metrics_"+strings.TrimPrefix(f.Code, "metrics_"), "Free that place, or name another one, such as "+metricsKey+" = \""+other+"\"; off needs none.",
		"Metrics cannot be served: %s", f.Text)
}

// listenerName is how status shows a listener.
func listenerName(l net.Listener) string {
	if a := l.Addr(); a.Network() == "unix" {
		return unixPrefix + a.String()
	}
	return l.Addr().String()
}

// metricsPort is where a relay's metrics are served, which can change while they are.
type metricsPort struct {
	mu    sync.Mutex
	place string       // where they are to be; empty: nowhere
	l     net.Listener // nil: none
	end   context.CancelFunc
	serve func(l net.Listener) (end context.CancelFunc) // nil: nobody serves them
}

// open opens the port.
func (p *metricsPort) open(place string) error {
	l, err := metricsListener(place)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.place, p.l = place, l
	return nil
}

// close closes the port where nothing serves it.
func (p *metricsPort) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.l != nil {
		_ = p.l.Close() // whoever served it has closed it already
	}
}

// places shows the port in the status.
func (p *metricsPort) places() []control.Listener {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.l == nil {
		return nil
	}
	return []control.Listener{{Kind: "metrics", Address: listenerName(p.l)}}
}

// change prepares another place, which it opens: see prepared.
func (p *metricsPort) change(place string) (commit, drop func(), err error) {
	p.mu.Lock()
	was := p.place
	p.mu.Unlock()
	if place == was {
		return nil, nil, nil
	}
	l, err := metricsListener(place)
	if err != nil {
		return nil, nil, err
	}
	drop = func() {
		if l != nil {
			_ = l.Close()
		}
	}
	return func() { p.become(place, l) }, drop, nil
}

// become has another listener served, and closes the one before.
func (p *metricsPort) become(place string, l net.Listener) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.end != nil {
		p.end()
	}
	if p.l != nil {
		_ = p.l.Close()
	}
	p.place, p.l, p.end = place, l, nil
	p.startLocked()
}

func (p *metricsPort) startLocked() {
	if p.l != nil && p.serve != nil {
		p.end = p.serve(p.l)
	}
}

// serveMetrics shows the relay's numbers until ctx ends.
func (r *relayRun) serveMetrics(ctx context.Context, tell func(string)) {
	source := r.source()
	take := func() metrics.Snapshot { return r.snapshot(&source, time.Now()) }
	handler := metrics.New(take).Handler()
	var tasks sync.WaitGroup
	p := &r.metrics
	p.mu.Lock()
	p.serve = func(l net.Listener) context.CancelFunc {
		ctx, end := context.WithCancel(ctx)
		tasks.Go(func() {
			defer end()
			if err := metrics.Serve(ctx, l, handler); err != nil {
				tell("Metrics are not served any more (" + redact.Classify(err).String() + "). Everything else goes on; a restart brings them back.")
			}
		})
		return end
	}
	p.startLocked()
	p.mu.Unlock()
	<-ctx.Done()
	p.mu.Lock()
	p.serve = nil
	p.mu.Unlock()
	tasks.Wait()
}

// snapshot is the relay in plain numbers. What the relay does not count is left out: a
// zero would say that there is none.
func (r *relayRun) snapshot(source *RelaySource, now time.Time) metrics.Snapshot {
	role := r.live.Load()
	shown, s := source.part(r.doc), role.Status()
	g := s.Directory.Gossip
	in, out := r.allowed.meter.Counted()
	m := &metrics.Relay{
		Gossip: gossipNumbers(&g), GossipBytes: metrics.Both{In: g.BytesIn, Out: g.BytesOut},
		Links:       &metrics.Links{In: s.Links.In, Out: s.Links.Out, OpeningIn: s.Links.OpeningIn, OpeningOut: s.Links.Dials},
		RateLimited: &s.TooOften, LinksRefused: &s.Links.Refused,
		Traffic: metrics.Both{In: in, Out: out}, Circuits: s.OpenCircuits,
		Created: s.CircuitsCreated, Refused: s.Refused, Replayed: s.Replayed, Violations: s.Violations, Overflows: s.Overflows,
		Listed: shown.Listed, Running: shown.Running, Seat: shown.Seat,
	}
	a := s.Memory
	m.Memory = &metrics.Memory{Circuits: a.Circuits, Queues: a.Queues, Buffers: a.Buffers, Directory: a.Directory}
	m.KilledForMemory = &a.Killed
	m.Overload.Memory = known(a.Level != limit.Roomy)
	m.Overload.Handshakes, m.Overload.Descriptors = known(s.Overload.Handshakes), known(s.Overload.Descriptors)
	m.LinkExpiry = s.LinkEnds
	if c := s.Certified; c != nil {
		m.SigningExpiry, m.LinkExpiry = c.Signing, c.Links
	}
	if w := shown.Weight; w != nil {
		m.Weight = w.Share
	}
	if q := shown.Quota; q != nil {
		m.Quota = &metrics.Quota{Used: int64(min(q.Used, math.MaxInt64)), Max: int64(min(q.Max, math.MaxInt64))}
		usedUp, _ := r.allowed.used(now)
		m.Overload.Quota = known(usedUp)
	}
	m.Reachable4, m.Reachable6 = reachNumbers(&shown)
	return metrics.Snapshot{
		Version: r.o.Version, Directory: directoryNumbers(r.doc, &shown.Directory, now), Relay: m, Exit: exitNumbers(r.exit.Load()),
		Client: clientNumbers(r.beside, r.front),
	}
}

// gossipNumbers counts messages by what they are for.
func gossipNumbers(g *relay.GossipStatus) (out []metrics.GossipKind) {
	for kind, n := range g.Kinds() {
		out = append(out, metrics.GossipKind{Kind: kind, Both: metrics.Both{In: n[0], Out: n[1]}})
	}
	return out
}

// clientNumbers are those of the client in the same process and its front; nil: there is none.
func clientNumbers(c *client.Client, f *Front) *metrics.Client {
	if c == nil {
		return nil
	}
	n := c.Counts()
	out := &metrics.Client{
		CircuitsBuilt: n.CircuitsBuilt, CircuitsFailed: n.CircuitsFailed, CircuitsTimedOut: n.CircuitsTimedOut,
		StreamsOpened: n.StreamsOpened, StreamsFailed: n.StreamsFailed, Build: n.Build,
	}
	if f != nil {
		out.BareAddresses = f.bare.Load()
	}
	return out
}

func directoryNumbers(doc *genesis.Document, d *control.Directory, now time.Time) *metrics.Directory {
	return &metrics.Directory{Entries: d.Relays, Age: max(0, now.Sub(doc.EpochStart(d.Epoch)))}
}

// exitNumbers are those of an exit; nil: it is none.
func exitNumbers(e *exit.Exit) *metrics.Exit {
	if e == nil {
		return nil
	}
	c := e.Counters()
	out := &metrics.Exit{
		Connected: c.Streams[exit.ReasonDone], RefusedPolicy: c.Denied - min(c.Private, c.Denied), RefusedPrivate: &c.Private, RefusedBusy: c.Capped,
		Resolved: c.Lookups[exit.ReasonDone], NotFound: c.Lookups[exit.ReasonUnresolvable],
		Datagrams: metrics.Both{In: c.DatagramsIn, Out: c.DatagramsOut},
	}
	for reason := range exit.Reason(exit.ReasonCount) {
		if reason != exit.ReasonDone {
			out.Failed += c.Streams[reason]
			if reason != exit.ReasonUnresolvable {
				out.ResolutionsFailed += c.Lookups[reason]
			}
		}
	}
	return out
}

// known is yes or no.
func known(is bool) metrics.Known {
	if is {
		return metrics.Yes
	}
	return metrics.No
}
