// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"chive/internal/config"
	"chive/internal/control"
	"chive/internal/limit"
)

// scrapeOnce fetches the metrics that are served at l, whose name is a loopback address
// or a unix socket.
func scrapeOnce(t *testing.T, name string) string {
	t.Helper()
	client := &http.Client{Timeout: 5 * time.Second}
	url := "http://" + name + "/metrics"
	if path, ok := strings.CutPrefix(name, unixPrefix); ok {
		url = "http://unix/metrics"
		client.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}}
	}
	answer, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s, %v: %s", answer.Status, err, body)
	}
	client.CloseIdleConnections()
	return string(body)
}

// TestARunningRelayShowsItsNumbers: on loopback and on a unix socket, without a name of
// anybody, and no longer once it has ended.
func TestARunningRelayShowsItsNumbers(t *testing.T) {
	w := found(t, 3, func(int) FounderOptions {
		return FounderOptions{Declaring: Declaring{Addresses: []string{freePort(t)}}}
	})
	w.sign(t)
	info, err := ShowNetwork(w.doc)
	if err != nil {
		t.Fatal(err)
	}
	for i, place := range []string{freePort(t), unixPrefix + filepath.Join(t.TempDir(), "metrics")} {
		s := w.states[i]
		o := RelayOptions{State: s.Dir(), Genesis: w.doc, Listen: listenOf(t, s, info), Metrics: place, Version: "0.1.0", Drain: -1}
		if i == 0 {
			if err := o.Limits.SetQuota(1<<40, "month", "", "sum"); err != nil {
				t.Fatal(err)
			}
		}
		if i == 0 {
			o.Limits.Rate, o.Limits.Burst = 1<<20, 2<<20
		}
		var told control.Source
		o.Serving = func(s control.Source) { told = s }
		ctx, stop := context.WithCancel(t.Context())
		ready := make(chan RelayReady, 1)
		o.Ready = func(r RelayReady) { ready <- r }
		ended := make(chan error, 1)
		var running sync.WaitGroup
		running.Go(func() { ended <- RunRelay(ctx, o) })
		select {
		case r := <-ready:
			if s := told.Status(); s.Relays[0].Rate != uint64(o.Limits.Rate) || len(s.Listeners) != 1 || s.Listeners[0].Address != place {
				t.Errorf("status: rate %d, listeners %v", s.Relays[0].Rate, s.Listeners)
			}
			page := scrapeOnce(t, place)
			for _, want := range []string{
				`chive_build_info{version="0.1.0"} 1`, "chive_directory_entries 3", `chive_relay_circuits{state="open"} 0`,
				`chive_relay_flag{name="listed"} 1`, `chive_relay_overload{kind="memory"} 0`, `chive_relay_killed_circuits_total{reason="memory"} 0`,
				`chive_relay_memory_bytes{pool="queues"} 0`, `chive_relay_traffic_bytes_total{direction="in"} 0`,
				`chive_relay_overload{kind="handshakes"} 0`, `chive_relay_overload{kind="descriptors"} 0`, `chive_relay_connections{direction="in",state="open"} 0`,
				`chive_relay_dos_total{type="rate"} 0`, `chive_relay_dos_total{type="links"} 0`,
				`chive_gossip_messages_total{direction="in",kind="item"} 0`,
			} {
				if !strings.Contains(page, want+"\n") {
					t.Errorf("%q is missing:\n%s", want, page)
				}
			}
			if quota := strings.Contains(page, `chive_relay_accounting_bytes{kind="max"} 1.099511627776e+12`); quota != (i == 0) {
				t.Errorf("a quota is shown: %v", quota)
			}
			for _, never := range []string{r.RID, r.Listen.String(), "127.0.0.1"} {
				if strings.Contains(page, never) {
					t.Errorf("the page names %s", never)
				}
			}
			// What the relay does not count is not shown as nothing.
			if m := regexp.MustCompile(`chive_(exit_[a-z_]+|client_[a-z_]+)\{`).FindString(page); m != "" {
				t.Errorf("%s is shown", m)
			}
		case err := <-ended:
			t.Fatal(err)
		}
		stop()
		running.Wait()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		network, address, _ := strings.Cut("tcp "+place, " ")
		if path, ok := strings.CutPrefix(place, unixPrefix); ok {
			network, address = "unix", path
		}
		if c, err := net.Dial(network, address); err == nil {
			_ = c.Close()
			t.Error("somebody listens there still")
		}
	}
}

// TestARelayBesideAClientShowsTheClientsNumbers, too: totals, and nobody's name.
func TestARelayBesideAClientShowsTheClientsNumbers(t *testing.T) {
	w := found(t, 3, func(int) FounderOptions {
		return FounderOptions{Declaring: Declaring{Addresses: []string{freePort(t)}}}
	})
	w.sign(t)
	info, err := ShowNetwork(w.doc)
	if err != nil {
		t.Fatal(err)
	}
	s, place := w.states[0], freePort(t)
	s.Close() // RunUp opens it
	ready := make(chan RelayReady, 1)
	o := UpOptions{
		Client: ClientOptions{State: s.Dir(), Genesis: w.doc, Socks: SocksOptions{Addrs: []string{"127.0.0.1:0"}}, Wait: time.Minute},
		Relay: &RelayOptions{State: s.Dir(), Genesis: w.doc, Listen: listenOf(t, s, info), Metrics: place, Drain: -1,
			Ready: func(r RelayReady) { ready <- r }},
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- RunUp(ctx, o) }()
	select {
	case <-ready:
		page := scrapeOnce(t, place)
		for _, want := range []string{
			`chive_client_circuits_total{result="built"} `, `chive_client_circuits_total{result="timeout"} `, `chive_client_circuits_total{result="failed"} `,
			`chive_client_streams_total{result="opened"} 0`, `chive_client_streams_total{result="failed"} 0`, "chive_client_circuit_build_seconds_count ",
		} {
			if !strings.Contains(page, "\n"+want) {
				t.Errorf("%q is missing:\n%s", want, page)
			}
		}
		stop()
		<-ended
	case err := <-ended:
		t.Fatal(err)
	}
	stop()
}

// TestMetricsMistakes: what is wrong with the place, before anything runs.
func TestMetricsMistakes(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ place, code, fix string }{
		{"0.0.0.0:9245", "metrics_remote", "ssh -L"},
		{"192.0.2.1:9245", "metrics_remote", "127.0.0.1:9245"},
		{taken.Addr().String(), "metrics_port_in_use", `relay.metrics.listen = "`},
		{unixPrefix + file, "metrics_path", "unix:/PATH"},
		{unixPrefix + file + "/none/metrics", "metrics_listen_folder", "unix:/PATH"},
	} {
		l, err := metricsListener(c.place)
		f := wantFault(t, err, c.code)
		if l != nil || !strings.Contains(f.Fix, c.fix) || strings.Contains(f.Fix, "--") {
			t.Errorf("%s: %q %q", c.place, f.Text, f.Fix)
		}
	}
	for _, off := range []string{"", "off"} {
		if l, err := metricsListener(off); l != nil || err != nil {
			t.Errorf("%q: %v, %v", off, l, err)
		}
	}
}

// TestStartsOfPeriodsAreReadAlike: what a configuration takes is what the quota takes.
func TestStartsOfPeriodsAreReadAlike(t *testing.T) {
	texts := []string{
		"06:00", "6:00", "24:00", "23:60", "6", "-1", "+5", "0", "00", "1", "01", "31", "32", "256", "1 06:00", "1 6", "31 23:59", "32 06:00", "1 06:00 x",
		"mon", "Mon", "MON 06:00", "sun 23:59", "monday", "mon tue", "mon 06:00 06:00", "06:00 mon", " mon  06:00 ", "x", "auto 06:00", ":", "1:", "1.5",
	}
	for _, name := range []string{"day", "week", "month"} {
		each, _ := limit.ParsePeriod(name)
		for _, text := range texts {
			_, err := limit.ParseStart(each, text)
			_, conf := config.Load(config.Sources{Options: []string{"relay.accounting.period=" + name, "relay.accounting.start=" + text}})
			if (err == nil) != (conf == nil) {
				t.Errorf("%s %q: the quota says %v, the configuration %v", name, text, err, conf)
			}
		}
	}
}
