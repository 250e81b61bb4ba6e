// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

// reasonTable is product §4.6, written down a second time.
var reasonTable = []struct {
	reason                 string
	socks5, extended, http int
}{
	{"private_address", 2, 2, 403}, {"exit_policy", 2, 2, 403}, {"refused_ip", 2, 2, 403},
	{"starting", 3, 3, 503}, {"network_down", 3, 3, 503},
	{"name_not_found", 4, 4, 502}, {"host_unreachable", 4, 4, 502}, {"refused_by_target", 5, 5, 502}, {"timeout", 6, 6, 504},
	{"service_not_found", 4, 0xF0, 502}, {"service_descriptor_bad", 4, 0xF1, 502},
	{"introduction_failed", 4, 0xF2, 502}, {"rendezvous_failed", 4, 0xF3, 502}, {"introduction_timeout", 6, 0xF7, 504},
	{"client_auth_missing", 4, 0xF4, 403}, {"client_auth_wrong", 4, 0xF5, 403}, {"service_address_bad", 4, 0xF6, 502},
	{"circuit_failed", 1, 1, 502},
}

func TestReasonsMapAsInTheTable(t *testing.T) {
	ours := map[string]bool{reasonBadRequest: true, reasonUnknownCommand: true, reasonAddressType: true, reasonBadAnswer: true}
	if len(outcomes) != len(reasonTable)+len(ours) {
		t.Errorf("%d outcomes", len(outcomes))
	}
	for _, want := range reasonTable {
		o := outcomeFor(fmt.Errorf("wrapped: %w", refusal(want.reason)))
		if o.reason != want.reason || int(o.socks5Code(false)) != want.socks5 || int(o.socks5Code(true)) != want.extended || o.http != want.http {
			t.Errorf("%s: %+v", want.reason, o)
		}
	}
	for _, o := range outcomes {
		if len(o.sentence) < 20 || !strings.HasSuffix(o.sentence, ".") || statusText(o.http) == "" {
			t.Errorf("%s has no sentence", o.reason)
		}
	}
}

func TestForeignErrorsSayNothing(t *testing.T) {
	for err, want := range map[error]string{
		errors.New("10.1.2.3:80 refused"):     reasonCircuitFailed,
		refusal("10.1.2.3"):                   reasonCircuitFailed,
		context.Canceled:                      reasonCircuitFailed,
		context.DeadlineExceeded:              reasonTimeout,
		refusal(reasonIntroductionTimeout):    reasonIntroductionTimeout,
		errors.Join(refusal("exit_policy")):   "exit_policy",
		fmt.Errorf("x: %w", refusal("onion")): reasonCircuitFailed,
	} {
		if got := outcomeFor(err).reason; got != want {
			t.Errorf("%v: %s", err, got)
		}
	}
}

// TestIsolationKeysDifferInEveryPart is ISO-1.
func TestIsolationKeysDifferInEveryPart(t *testing.T) {
	seen := map[Isolation]int{}
	for i, c := range []struct {
		listener, client string
		cred             credentials
	}{
		{"", "", credentials{}}, {"a", "", credentials{}}, {"", "a", credentials{}}, {"", "", credentials{user: "a"}},
		{"", "", credentials{password: "a"}}, {"", "", credentials{extra: "a"}}, {"ab", "", credentials{}}, {"a", "b", credentials{}},
		{"", "", credentials{user: "a", password: "b"}}, {"", "", credentials{user: "ab"}},
	} {
		k := isolationKey(c.listener, c.client, c.cred)
		if j, ok := seen[k]; ok || len(k) != 32 {
			t.Errorf("%d and %d share a key", i, j)
		}
		seen[k] = i
	}
	first := isolationKey("l", "c", credentials{user: "u"})
	if second := isolationKey("l", "c", credentials{user: "u"}); first != second {
		t.Error("not stable")
	}
}

// TestTheManualHasTheTable: docs/proxy.md says what programs get.
func TestTheManualHasTheTable(t *testing.T) {
	b, err := os.ReadFile("../../docs/proxy.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for line := range strings.Lines(string(b)) {
		cells := strings.Split(strings.TrimSpace(line), " | ")
		if len(cells) != 4 || !strings.HasPrefix(cells[0], "| `") {
			continue
		}
		for _, name := range strings.Split(cells[0][2:], ", ") {
			name, _, _ = strings.Cut(strings.Trim(name, "`"), "`")
			rows[name] = strings.TrimSuffix(strings.Join(cells[1:], " "), " |")
		}
	}
	for _, o := range outcomes {
		want := fmt.Sprintf("%d %X %d", o.socks5, o.socks5Code(true), o.http)
		if got := rows[o.reason]; got != want && o.reason != reasonBadAnswer {
			t.Errorf("%s: %q, want %q", o.reason, got, want)
		}
		delete(rows, o.reason)
	}
	if len(rows) != 0 {
		t.Errorf("rows of no reason: %v", rows)
	}
}

// knows is a Dialer's error that says more than its reason.
type knows struct{ refusal }

func (knows) Error() string {
	return "the client is not connected to the network yet: this clock is fast"
}
func (knows) Fix() string { return "set the clock" }

// TestTheCauseOfAStandstillReachesTheProgram (SOCKS-11, HTTP-3): the answer says why and what
// to do, by every way in which a request comes; a target's own faults keep their sentence.
func TestTheCauseOfAStandstillReachesTheProgram(t *testing.T) {
	const words = "The client is not connected to the network yet: this clock is fast. Set the clock."
	for reason, want := range map[string]string{
		reasonStarting: words, reasonNetworkDown: words, reasonCircuitFailed: words,
		reasonNameNotFound: outcomeOf(reasonNameNotFound).sentence, reasonTimeout: outcomeOf(reasonTimeout).sentence,
	} {
		if got := outcomeFor(fmt.Errorf("wrapped: %w", knows{refusal(reason)})).sentence; got != want {
			t.Errorf("%s: %q", reason, got)
		}
	}
	f := newFar(t, echo)
	f.fail = func(Target) error { return knows{reasonStarting} }
	_, addr := start(t, Config{Dialer: f})
	for _, request := range []string{"CONNECT a.test:80 HTTP/1.1\r\n\r\n", "GET http://a.test/ HTTP/1.1\r\nHost: x\r\n\r\n"} {
		p := open(t, addr)
		p.send([]byte(request))
		b := string(p.rest())
		if !strings.HasPrefix(b, "HTTP/1.1 503 ") || !strings.Contains(b, "X-Chive-Error: starting\r\n") || !strings.HasSuffix(b, "\r\n\r\n"+words+"\n") {
			t.Errorf("%q", b)
		}
	}
}
