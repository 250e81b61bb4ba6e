// SPDX-License-Identifier: BSD-3-Clause

package metrics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"chive/internal/testutil"
)

// full has every part, and no zero that would leave one out.
func full() Snapshot {
	var h Histogram
	h.Add(200 * time.Millisecond)
	h.Add(5 * time.Second)
	return Snapshot{
		Version: "0.1.0", Directory: &Directory{Entries: 7, Age: time.Hour},
		Relay: &Relay{
			Traffic: Both{3<<20 - 1, 5 << 20}, GossipBytes: Both{1, 1 << 20}, Quota: &Quota{Used: 1<<30 + 5, Max: 1 << 40},
			Links: &Links{}, RateLimited: new(uint64), LinksRefused: new(uint64), Gossip: []GossipKind{{Kind: "hello"}}, KilledForMemory: new(uint64), Memory: &Memory{}, Overload: Overload{No, No, Yes, No},
			Reachable4: Yes, Reachable6: No, SigningExpiry: time.Unix(2e9, 0), LinkExpiry: time.Unix(2e9, 0),
		},
		Exit: &Exit{RefusedPrivate: new(uint64)}, Client: &Client{Build: h},
	}
}

func scrape(t *testing.T, r *Registry) string {
	t.Helper()
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://127.0.0.1:9245/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("%d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// TestEveryMetricIsListedHere, with each value that a label may have: a new one is seen
// by whoever reviews this table. Spec: product §6 (REL-10).
func TestEveryMetricIsListedHere(t *testing.T) {
	want := strings.Fields(`
chive_build_info{version="0.1.0"}
chive_client_bare_addresses_total
chive_client_circuit_build_seconds_bucket{le="+Inf"} chive_client_circuit_build_seconds_bucket{le="0.1"}
chive_client_circuit_build_seconds_bucket{le="0.3"} chive_client_circuit_build_seconds_bucket{le="1"}
chive_client_circuit_build_seconds_bucket{le="10"} chive_client_circuit_build_seconds_bucket{le="3"}
chive_client_circuit_build_seconds_bucket{le="30"} chive_client_circuit_build_seconds_count chive_client_circuit_build_seconds_sum
chive_client_circuits_total{result="built"} chive_client_circuits_total{result="failed"} chive_client_circuits_total{result="timeout"}
chive_client_streams_total{result="failed"} chive_client_streams_total{result="opened"}
chive_directory_age_seconds chive_directory_entries
chive_exit_datagrams_total{direction="in"} chive_exit_datagrams_total{direction="out"}
chive_exit_dns_queries_total{result="failed"} chive_exit_dns_queries_total{result="found"} chive_exit_dns_queries_total{result="not_found"}
chive_exit_refused_total{reason="busy"} chive_exit_refused_total{reason="policy"} chive_exit_refused_total{reason="private"}
chive_exit_streams_total{result="connected"} chive_exit_streams_total{result="failed"}
chive_gossip_bytes_total{direction="in"} chive_gossip_bytes_total{direction="out"}
chive_gossip_messages_total{direction="in",kind="hello"} chive_gossip_messages_total{direction="out",kind="hello"}
chive_relay_accounting_bytes{kind="max"} chive_relay_accounting_bytes{kind="used"}
chive_relay_cert_expiry_timestamp_seconds{kind="link"} chive_relay_cert_expiry_timestamp_seconds{kind="signing"}
chive_relay_circuits{state="open"}
chive_relay_connections{direction="in",state="open"} chive_relay_connections{direction="in",state="opening"}
chive_relay_connections{direction="out",state="open"} chive_relay_connections{direction="out",state="opening"}
chive_relay_dos_total{type="links"} chive_relay_dos_total{type="rate"}
chive_relay_flag{name="committee"} chive_relay_flag{name="listed"} chive_relay_flag{name="running"}
chive_relay_handshakes_total{action="created",type="hy1"} chive_relay_handshakes_total{action="refused",type="hy1"} chive_relay_handshakes_total{action="replayed",type="hy1"}
chive_relay_killed_circuits_total{reason="memory"} chive_relay_killed_circuits_total{reason="overflow"}
chive_relay_memory_bytes{pool="boxes"} chive_relay_memory_bytes{pool="buffers"} chive_relay_memory_bytes{pool="circuits"} chive_relay_memory_bytes{pool="directory"} chive_relay_memory_bytes{pool="queues"}
chive_relay_overload{kind="descriptors"} chive_relay_overload{kind="handshakes"} chive_relay_overload{kind="memory"} chive_relay_overload{kind="quota"}
chive_relay_reachable{family="ipv4"} chive_relay_reachable{family="ipv6"}
chive_relay_traffic_bytes_total{direction="in"} chive_relay_traffic_bytes_total{direction="out"}
chive_relay_violations_total{kind="protocol"}
chive_relay_weight`)
	var got []string
	for line := range strings.Lines(scrape(t, New(full))) {
		if !strings.HasPrefix(line, "#") {
			got = append(got, line[:strings.LastIndex(line, " ")])
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("shown:\n%s\nwanted:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, f := range families {
		if !slices.ContainsFunc(got, func(shown string) bool { return strings.HasPrefix(shown, f.name) }) {
			t.Errorf("%s is never shown", f.name)
		}
	}
}

// TestAnEmptySnapshotShowsNothingButTheVersion.
func TestAnEmptySnapshotShowsNothingButTheVersion(t *testing.T) {
	got := scrape(t, New(func() Snapshot { return Snapshot{Version: "1"} }))
	if strings.Count(got, "\nchive_") != 1 || !strings.Contains(got, `chive_build_info{version="1"} 1`) {
		t.Errorf("%s", got)
	}
}

// TestTrafficMovesInStepsOnceAMinute, however often somebody looks.
func TestTrafficMovesInStepsOnceAMinute(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		began := time.Now()
		taken := 0
		r := New(func() Snapshot {
			taken++
			n := uint64(time.Since(began) / time.Millisecond * 100)
			return Snapshot{Relay: &Relay{Traffic: Both{n, 0}, GossipBytes: Both{n, n}, Quota: &Quota{Used: int64(n), Max: 1<<50 + 1}}}
		})
		number := regexp.MustCompile(`(?m)^chive_\w*bytes\w*\{.*\} (.*)$`)
		last, changed := "", 0
		tick := time.NewTicker(7 * time.Second)
		defer tick.Stop()
		for range 100 {
			body := scrape(t, r)
			if body != last {
				last = body
				changed++
			}
			for _, m := range number.FindAllStringSubmatch(body, -1) {
				var n float64
				if _, err := fmt.Sscan(m[1], &n); err != nil || uint64(n)%step != 0 {
					t.Fatalf("%s is no step of 1 MiB", m[0])
				}
			}
			<-tick.C
		}
		if minutes := int(time.Since(began) / time.Minute); changed > minutes+1 || changed < 5 || taken > minutes+1 {
			t.Errorf("changed %d times and taken %d in %d minutes", changed, taken, minutes)
		}
	})
}

func TestListenersAreLocal(t *testing.T) {
	for text, want := range map[string]string{
		"": " ", "off": " ", "127.0.0.1:9245": "tcp 127.0.0.1:9245", "[::1]:1": "tcp [::1]:1", "127.9.9.9:1": "tcp 127.9.9.9:1",
		"unix:/run/x": "unix /run/x", "unix:x": "error", "0.0.0.0:9245": "error", "[::]:9245": "error", ":9245": "error",
		"203.0.113.5:9245": "error", "localhost:9245": "error", "10.0.0.1:9245": "error", "9245": "error",
	} {
		network, address, err := ParseListen(text)
		got := network + " " + address
		if errors.Is(err, ErrListen) {
			got = "error"
		}
		if got != want {
			t.Errorf("%q: %s", text, got)
		}
	}
	open, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := Serve(t.Context(), open, http.NotFoundHandler()); !errors.Is(err, ErrListen) {
		t.Errorf("served to everybody: %v", err)
	}
	if _, err := open.Accept(); err == nil {
		t.Error("the listener is open")
	}
}

func TestServeEndsWithItsContext(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		address := "127.0.0.1:0"
		if network == "unix" {
			address = filepath.Join(t.TempDir(), "s")
		}
		l, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- Serve(ctx, l, New(full).Handler()) }()
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) {
			return net.Dial(network, l.Addr().String())
		}}}
		reply, err := client.Get("http://localhost/metrics")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(reply.Body)
		reply.Body.Close()
		if !strings.Contains(string(body), "chive_directory_entries 7") {
			t.Errorf("%s", body)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func TestOnlyMetricsAndOnlyLocalNames(t *testing.T) {
	for _, c := range []struct {
		method, url string
		want        int
	}{
		{"GET", "http://localhost:9245/metrics", 200}, {"GET", "http://[::1]:9245/metrics", 200}, {"GET", "http://127.0.0.1/metrics", 200},
		{"GET", "http://evil.example:9245/metrics", 403}, {"GET", "http://203.0.113.5/metrics", 403},
		{"GET", "http://localhost/", 404}, {"POST", "http://localhost/metrics", 405},
	} {
		w := httptest.NewRecorder()
		New(full).Handler().ServeHTTP(w, httptest.NewRequest(c.method, c.url, nil))
		if w.Code != c.want {
			t.Errorf("%s %s: %d, want %d", c.method, c.url, w.Code, c.want)
		}
	}
}

// TestDashboardAndAlertsNameWhatExists.
func TestDashboardAndAlertsNameWhatExists(t *testing.T) {
	names := regexp.MustCompile(`chive_[a-z0-9_]+`)
	suffix := regexp.MustCompile(`_(bucket|sum|count)$`)
	for _, file := range []string{"../../deploy/grafana/chive-relay.json", "../../deploy/prometheus/chive-alerts.yml", "../../deploy/prometheus/chive-scrape.yml"} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found := names.FindAllString(string(data), -1)
		if len(found) == 0 && !strings.Contains(file, "scrape") {
			t.Errorf("%s names no metric", file)
		}
		for _, name := range found {
			if name == buildSeconds || suffix.MatchString(name) {
				name = suffix.ReplaceAllString(name, "")
			}
			if !slices.ContainsFunc(families, func(f family) bool { return f.name == name }) {
				t.Errorf("%s names %s, which does not exist", file, name)
			}
		}
	}
}
