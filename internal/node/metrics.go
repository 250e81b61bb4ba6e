// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"context"
	"errors"
	"math"
	"net"
	"strings"
	"time"

	"chive/directory/genesis"
	"chive/internal/control"
	"chive/internal/metrics"
	"chive/internal/redact"
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

// openMetrics opens the listener of the relay's metrics, if there are to be any.
func (r *relayRun) openMetrics() (err error) {
	r.metrics, err = metricsListener(r.o.Metrics)
	return err
}

// closeMetrics closes the listener where nothing serves it.
func (r *relayRun) closeMetrics() {
	if r.metrics != nil {
		_ = r.metrics.Close() // whoever served it has closed it already
	}
}

// serveMetrics shows the relay's numbers until ctx ends.
func (r *relayRun) serveMetrics(ctx context.Context, tell func(string)) {
	if r.metrics == nil {
		return
	}
	source := r.source()
	take := func() metrics.Snapshot { return r.snapshot(&source, time.Now()) }
	if err := metrics.Serve(ctx, r.metrics, metrics.New(take).Handler()); err != nil {
		tell("Metrics are not served any more (" + redact.Classify(err).String() + "). Everything else goes on; a restart brings them back.")
	}
}

// snapshot is the relay in plain numbers. What the relay does not count is left out: a
// zero would say that there is none.
func (r *relayRun) snapshot(source *RelaySource, now time.Time) metrics.Snapshot {
	role := r.live.Load()
	shown, s := source.part(r.doc), role.Status()
	g := s.Directory.Gossip
	in, out := r.allowed.meter.Counted()
	m := &metrics.Relay{
		GossipMessages: metrics.Both{In: g.MessagesIn, Out: g.MessagesOut}, GossipBytes: metrics.Both{In: g.BytesIn, Out: g.BytesOut},
		Traffic: metrics.Both{In: in, Out: out}, Circuits: s.OpenCircuits,
		Created: s.CircuitsCreated, Refused: s.Refused, Replayed: s.Replayed, Violations: s.Violations, Overflows: s.Overflows,
		Listed: shown.Listed, Running: shown.Running, Seat: shown.Seat,
	}
	if w := shown.Weight; w != nil {
		m.Weight = w.Share
	}
	if q := shown.Quota; q != nil {
		m.Quota = &metrics.Quota{Used: int64(min(q.Used, math.MaxInt64)), Max: int64(min(q.Max, math.MaxInt64))}
		usedUp, _ := r.allowed.used(now)
		m.Overload.Quota = known(usedUp)
	}
	if shown.Listed { // others dial the addresses of a relay on the list
		for _, a := range r.declared.Addresses {
			if a.Addr().Unmap().Is4() {
				m.Reachable4 = known(shown.Running)
			} else {
				m.Reachable6 = known(shown.Running)
			}
		}
	}
	return metrics.Snapshot{Version: r.o.Version, Directory: directoryNumbers(r.doc, &shown.Directory, now), Relay: m, Exit: exitNumbers(r.exit.Load())}
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
		Connected: c.Streams[exit.ReasonDone], RefusedPolicy: c.Denied, RefusedBusy: c.Capped,
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
