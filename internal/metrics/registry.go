// SPDX-License-Identifier: BSD-3-Clause

package metrics

import (
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// interval is how often what is shown moves, step the unit of bytes.
const (
	interval = time.Minute
	step     = 1 << 20
)

// Registry shows snapshots. Make it with New.
type Registry struct {
	take     func() Snapshot
	descs    map[string]*prometheus.Desc
	kinds    map[string]prometheus.ValueType
	gatherer *prometheus.Registry

	mu    sync.Mutex
	last  Snapshot
	taken time.Time // zero: never
}

// New returns a registry that shows what take returns. take is called by one goroutine
// at a time, at most once a minute, and only when somebody looks; it must not block.
func New(take func() Snapshot) *Registry {
	r := &Registry{
		take: take, descs: map[string]*prometheus.Desc{}, kinds: map[string]prometheus.ValueType{},
		gatherer: prometheus.NewRegistry(),
	}
	for _, f := range families {
		r.descs[f.name] = prometheus.NewDesc(f.name, f.help, f.labels, nil)
		r.kinds[f.name] = f.kind
	}
	_ = r.gatherer.Register(collector{r}) // names are fixed; a test registers them all
	return r
}

// Handler serves GET /metrics.
func (r *Registry) Handler() http.Handler {
	inner := promhttp.HandlerFor(r.gatherer, promhttp.HandlerOpts{DisableCompression: true, MaxRequestsInFlight: 4})
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		switch {
		case !local(q):
			http.Error(w, "this is served under the names of this machine only", http.StatusForbidden)
		case q.URL.Path != "/metrics":
			http.NotFound(w, q)
		case q.Method != http.MethodGet && q.Method != http.MethodHead:
			http.Error(w, "only GET", http.StatusMethodNotAllowed)
		default:
			inner.ServeHTTP(w, q)
		}
	})
}

// local keeps pages out that a browser fetched under a name which now leads here.
func local(q *http.Request) bool {
	host := q.Host
	if a, err := netip.ParseAddrPort(host); err == nil {
		return a.Addr().IsLoopback()
	}
	if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return a.IsLoopback()
	}
	if name, _, ok := strings.Cut(host, ":"); ok {
		host = name
	}
	return host == "localhost" || host == "unix" || host == ""
}

// snapshot returns the last snapshot, or a new one if that is a minute old.
func (r *Registry) snapshot() Snapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := time.Now(); r.taken.IsZero() || now.Sub(r.taken) >= interval {
		r.last, r.taken = r.take(), now
	}
	return r.last
}

// collector is the registry as the module wants it.
type collector struct{ r *Registry }

// Describe tells every name.
func (c collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range c.r.descs {
		out <- d
	}
}

// Collect shows a snapshot.
func (c collector) Collect(out chan<- prometheus.Metric) {
	s := c.r.snapshot()
	e := emitter{c.r, out}
	e.value("chive_build_info", 1, s.Version)
	if d := s.Directory; d != nil {
		e.value("chive_directory_entries", float64(d.Entries))
		e.value("chive_directory_age_seconds", d.Age.Seconds())
	}
	if s.Relay != nil {
		e.relay(s.Relay)
	}
	if s.Exit != nil {
		e.exit(s.Exit)
	}
	if s.Client != nil {
		e.client(s.Client)
	}
}

// emitter sends metrics.
type emitter struct {
	r   *Registry
	out chan<- prometheus.Metric
}

func (e emitter) value(name string, v float64, labels ...string) {
	m, err := prometheus.NewConstMetric(e.r.descs[name], e.r.kinds[name], v, labels...)
	if err != nil {
		m = prometheus.NewInvalidMetric(e.r.descs[name], err) // a label too many or few: the tests show it
	}
	e.out <- m
}

func (e emitter) count(name string, n uint64, labels ...string) { e.value(name, float64(n), labels...) }

func (e emitter) both(name string, b Both, labels ...string) {
	e.count(name, b.In, append([]string{"in"}, labels...)...)
	e.count(name, b.Out, append([]string{"out"}, labels...)...)
}

func (e emitter) flag(name string, is bool, labels ...string) {
	v := 0.0
	if is {
		v = 1
	}
	e.value(name, v, labels...)
}

// known shows what is known, and nothing otherwise.
func (e emitter) known(name string, is Known, labels ...string) {
	if is != Unknown {
		e.flag(name, is == Yes, labels...)
	}
}

// bytes rounds down to the step.
func bytes(b Both) Both { return Both{b.In / step * step, b.Out / step * step} }

func (e emitter) size(name string, n int64, labels ...string) {
	e.value(name, float64(n/step*step), labels...)
}

func (e emitter) relay(s *Relay) {
	for _, g := range s.Gossip {
		e.both("chive_gossip_messages_total", g.Both, g.Kind)
	}
	e.both("chive_gossip_bytes_total", bytes(s.GossipBytes))
	if l := s.Links; l != nil {
		e.both("chive_relay_connections", Both{uint64(max(0, l.In)), uint64(max(0, l.Out))}, "open")
		e.both("chive_relay_connections", Both{uint64(max(0, l.OpeningIn)), uint64(max(0, l.OpeningOut))}, "opening")
	}
	e.both("chive_relay_traffic_bytes_total", bytes(s.Traffic))
	e.value("chive_relay_circuits", float64(s.Circuits), "open")
	e.count("chive_relay_handshakes_total", s.Created, "hy1", "created")
	e.count("chive_relay_handshakes_total", s.Refused, "hy1", "refused")
	e.count("chive_relay_handshakes_total", s.Replayed, "hy1", "replayed")
	if s.RateLimited != nil {
		e.count("chive_relay_dos_total", *s.RateLimited, "rate")
	}
	if s.LinksRefused != nil {
		e.count("chive_relay_dos_total", *s.LinksRefused, "links")
	}
	e.known("chive_relay_overload", s.Overload.Handshakes, "handshakes")
	e.known("chive_relay_overload", s.Overload.Memory, "memory")
	e.known("chive_relay_overload", s.Overload.Descriptors, "descriptors")
	e.known("chive_relay_overload", s.Overload.Quota, "quota")
	if m := s.Memory; m != nil {
		e.size("chive_relay_memory_bytes", m.Circuits, "circuits")
		e.size("chive_relay_memory_bytes", m.Queues, "queues")
		e.size("chive_relay_memory_bytes", m.Buffers, "buffers")
		e.size("chive_relay_memory_bytes", m.Boxes, "boxes")
		e.size("chive_relay_memory_bytes", m.Directory, "directory")
	}
	e.count("chive_relay_killed_circuits_total", s.Overflows, "overflow")
	if s.KilledForMemory != nil {
		e.count("chive_relay_killed_circuits_total", *s.KilledForMemory, "memory")
	}
	e.count("chive_relay_violations_total", s.Violations, "protocol")
	if q := s.Quota; q != nil {
		e.size("chive_relay_accounting_bytes", q.Used, "used")
		e.size("chive_relay_accounting_bytes", q.Max, "max")
	}
	e.known("chive_relay_reachable", s.Reachable4, "ipv4")
	e.known("chive_relay_reachable", s.Reachable6, "ipv6")
	e.flag("chive_relay_flag", s.Listed, "listed")
	e.flag("chive_relay_flag", s.Running, "running")
	e.flag("chive_relay_flag", s.Seat, "committee")
	e.value("chive_relay_weight", s.Weight)
	for kind, at := range map[string]time.Time{"signing": s.SigningExpiry, "link": s.LinkExpiry} {
		if !at.IsZero() {
			e.value("chive_relay_cert_expiry_timestamp_seconds", float64(at.Unix()), kind)
		}
	}
}

func (e emitter) exit(s *Exit) {
	e.count("chive_exit_streams_total", s.Connected, "connected")
	e.count("chive_exit_streams_total", s.Failed, "failed")
	e.count("chive_exit_refused_total", s.RefusedPolicy, "policy")
	if s.RefusedPrivate != nil {
		e.count("chive_exit_refused_total", *s.RefusedPrivate, "private")
	}
	e.count("chive_exit_refused_total", s.RefusedBusy, "busy")
	e.count("chive_exit_dns_queries_total", s.Resolved, "found")
	e.count("chive_exit_dns_queries_total", s.NotFound, "not_found")
	e.count("chive_exit_dns_queries_total", s.ResolutionsFailed, "failed")
	e.both("chive_exit_datagrams_total", s.Datagrams)
}

func (e emitter) client(s *Client) {
	e.count("chive_client_circuits_total", s.CircuitsBuilt, "built")
	e.count("chive_client_circuits_total", s.CircuitsFailed, "failed")
	e.count("chive_client_circuits_total", s.CircuitsTimedOut, "timeout")
	e.count("chive_client_streams_total", s.StreamsOpened, "opened")
	e.count("chive_client_streams_total", s.StreamsFailed, "failed")
	e.count("chive_client_bare_addresses_total", s.BareAddresses)
	buckets := map[float64]uint64{}
	for i, bound := range buildBounds {
		buckets[bound] = s.Build.buckets[i]
	}
	m, err := prometheus.NewConstHistogram(e.r.descs[buildSeconds], s.Build.count, s.Build.sum.Seconds(), buckets)
	if err != nil {
		m = prometheus.NewInvalidMetric(e.r.descs[buildSeconds], err)
	}
	e.out <- m
}
