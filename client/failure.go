// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"strings"

	"chive/circuit"
	"chive/circuit/carrier"
	"chive/link"
)

// Isolation keeps streams apart: two keys never share a circuit. It is opaque
// here; equal strings are the same key.
type Isolation string

// Failure is why a request did not succeed, in the closed list of reasons that
// programs and people see. It carries no destination.
type Failure struct {
	reason string
	text   string
	fix    string
	sent   bool
}

// Reason returns one of the closed list: private_address, exit_policy, starting,
// network_down, name_not_found, host_unreachable, refused_by_target, timeout,
// circuit_failed.
func (f *Failure) Reason() string { return f.reason }

// Error says what happened and why.
func (f *Failure) Error() string { return f.text }

// Timeout reports whether time ran out, as net.Error wants it.
func (f *Failure) Timeout() bool { return f.reason == "timeout" }

// Fix says what to do.
func (f *Failure) Fix() string { return f.fix }

// MaybeArrived reports whether what went with the request may have arrived where it was to,
// though it failed.
func (f *Failure) MaybeArrived() bool { return f.sent }

func failure(reason, text, fix string) *Failure {
	return &Failure{reason: reason, text: text, fix: fix}
}

// maybeArrived is f of a request that may have arrived.
func (f *Failure) maybeArrived() *Failure {
	return &Failure{f.reason, f.text + "; what went with the request may have arrived, so that it was not sent again", "repeat it only where twice does no harm; chive status says what state the network is in", true}
}

var (
	errPolicy = failure("exit_policy", "no exit that could be reached allows this port",
		"try another port of the same server, or try again later when other exits may be running")
	// An exit refused though its policy in the list permits the port.
	errExitRefuses = failure("exit_policy", "the exits that were asked do not connect there: where it leads is not on the public network, or their policy has changed",
		"check the address or the name; trying again later helps only where the policy has changed")
	errExitLoopback = failure("exit_policy", "the exits of this testnet do not connect to this port of their machine: a relay listens there",
		"use the port of the server that is meant: exits connect to all others of loopback that they permit; chive testnet status shows where relays listen")
	// Exits of a testnet reach the public network, as any do, and loopback.
	errExitTestnet = failure("exit_policy", "the exits of this testnet do not connect there: of what is not public, and of this machine, they reach 127.0.0.0/8 and ::1 only",
		"use a server of this machine, at 127.0.0.1 or another address of 127.0.0.0/8; another port of this address does not help")
	errLocalhost = failure("name_not_found", "localhost is this machine, and the exit does not look it up",
		"in a testnet write 127.0.0.1; else exclude it from proxying (NO_PROXY)")
	errNotFound = failure("name_not_found", "the exit found no address for this name",
		"check the spelling of the name")
	errLocalName = failure("name_not_found", "this name has a meaning on one machine, in one network or in another overlay only; no exit is asked",
		"use the full name of a public host")
	errUnreachable = failure("host_unreachable", "the exit could not reach the host",
		"check that the server is up; another exit may reach it, so trying again can help")
	errRefused = failure("refused_by_target", "the host refused the connection",
		"check the port and that the server is running")
	errTimeout = failure("timeout", "the host did not answer in time",
		"check that the server is up; trying again uses another circuit")
	errPrivate = failure("private_address", "this address is not on the public network",
		"reach private and local addresses without the proxy")
)

// errBroken is what became of a stream whose circuit was lost.
var errBroken = failure("circuit_failed", "a relay of its circuit was lost while the connection was open",
	"connect again: that uses another circuit")

// errSilent is what became of an association whose datagrams nobody answered: UDP does not
// say whether they were lost, refused or only never meant to be answered.
var errSilent = failure(unanswered, "datagrams went out, and none came back before the association ended",
	"check the port and that the server is running; an exit drops what it may not send. What expects no answer may have arrived")

// errCircuit says that every try ended with its circuit; why is the last one.
func errCircuit(why string) *Failure {
	return errCircuitFix(why, "try again; if it stays so, chive status says what state the network is in")
}

// errCircuitFix is errCircuit with something else to do.
func errCircuitFix(why, fix string) *Failure {
	return failure("circuit_failed", "no circuit carried the request: "+why, fix)
}

// errCircuitSilent says that nothing came back on a circuit any more.
var errCircuitSilent = errCircuit("nothing came back on its circuit any more: a relay of it has stopped")

// errStarting says that nothing can be sent yet.
func errStarting(why, fix string) *Failure {
	return failure("starting", "the client is not connected to the network yet: "+once(why, fix), fix)
}

// fixProxy is what to do where the proxy on the way is in the way.
const fixProxy = "check the proxy that client.upstream names: that it runs, and what client.upstream says of it"

// fixProxyAsks is that for one that answers.
const fixProxyAsks = "ask who runs the proxy that client.upstream names whether it lets connections through to the relays' ports: where to some only, say which: client.ports"

// once leaves out of a reason what its fix says again.
func once(why, fix string) string {
	for _, say := range []struct{ text, fix string }{{sayProxy, fixProxy}, {sayProxyAsks, fixProxyAsks}} {
		if short, does := strings.CutSuffix(why, say.text); does && fix == say.fix {
			return short + " Nothing goes past it."
		}
	}
	return why
}

// troubleFix says what to do about an error whose cause is that.
func (c *Client) troubleFix(err error, cause string) string {
	if errors.Is(err, link.ErrProxyAnswer) {
		return fixProxyAsks
	}
	if errors.Is(err, link.ErrProxy) || c.proxySilent(err) {
		return fixProxy
	}
	return CauseFix(cause)
}

// proxySilent reports whether an error says that nothing came back in time through a proxy:
// whether that is the proxy's fault or a relay's is not known.
func (c *Client) proxySilent(err error) bool {
	return c.cfg.Proxied && errors.Is(err, link.ErrTimeout)
}

// errEnding says that the client ends.
func errEnding() *Failure {
	return failure("starting", "the client is shutting down", "start it again")
}

// CauseFix says what to do about the cause of a standstill, one of Progress's closed
// list, or about none. Spec: product CLI-7, SOCKS-11.
func CauseFix(cause string) string {
	switch cause {
	case "clock_skew":
		return "set this machine's clock"
	case "no_route":
		return "connect this machine to a network; chive doctor --offline says what is wrong here"
	case "refused":
		return "check the genesis document and --peer with those who run the network"
	case "filtered":
		return "a firewall is in the way: open the relays' ports, or set client.upstream or client.ports"
	case "proxy_auth":
		return "put user and password into client.upstream"
	case "no_peers":
		return "name a relay that runs: --peer RID@IP:PORT, which its operator's chive status prints"
	case "directory_stale":
		return "wait for a newer list, or name another relay: --peer RID@IP:PORT"
	case "disk":
		return "make room on the disk of the state folder, or name another: --state DIR"
	}
	return "try again in a moment; chive status says how far it is"
}

func (c *Client) errDown(why string, err error) *Failure {
	if proxyFailed(err) || c.proxySilent(err) {
		return failure("network_down", "the network cannot be reached: "+once(why, fixProxy), fixProxy)
	}
	if errors.Is(err, link.ErrProxyAnswer) {
		return failure("network_down", "the network cannot be reached: "+once(why, fixProxyAsks), fixProxyAsks)
	}
	if cause, _ := c.troubleOf(err); cause == "refused" {
		return failure("network_down", "the network cannot be reached: "+why, fixRefused)
	}
	return failure("network_down", "the network cannot be reached: "+why,
		"check this machine's connection and clock")
}

// fixRefused is what to do where the guards refuse connections.
const fixRefused = "the relays do not accept connections: ask those who run the network whether they run; a firewall may refuse for them"

// errOldList says that the list of relays is too old for new circuits.
func errOldList(why string) *Failure {
	return failure("network_down", why+" (directory_stale)",
		"check this machine's connection and clock; the list is fetched as soon as a relay has a newer one")
}

// errClock says that this clock is wrong, so that no new circuits are made.
func errClock(wrong error) *Failure {
	text := "no new circuits are made: this clock is slow" // if it was set a moment ago
	if wrong != nil {
		text = "no new circuits are made: " + strings.TrimSuffix(wrong.Error(), ". "+setClock)
	}
	return failure("network_down", text+" (clock_skew)", CauseFix("clock_skew"))
}

// verdict is what to do about a stream that did not open.
type verdict struct {
	fail     *Failure // what to tell the program if no try is left
	final    bool     // another circuit cannot help
	skipExit bool     // another exit may
	later    bool     // the same exit may, in a moment
	silent   bool     // another circuit may, best one without its relays
	hangs    bool     // with silent: its guard is silent, too
}

// errMaybeDelivered marks a failure after which early data may have arrived.
var errMaybeDelivered = errors.New("client: early data may have been delivered")

// errInTestnet marks the failure of a request to another place of a testnet's.
var errInTestnet = errors.New("client: in a testnet")

// errToLoopback marks the failure of a request for the exit's own machine, which only testnets
// permit: all of it but where relays listen.
var errToLoopback = errors.New("client: to loopback")

// loopback reports whether host is the exit's own machine.
func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	return err == nil && a.Unmap().IsLoopback() || name == "localhost" || strings.HasSuffix(name, ".localhost")
}

// mark says of the failure of a request for host what its words depend on.
func (c *Client) mark(host string, err error) error {
	switch {
	case loopback(host):
		return errors.Join(errToLoopback, err)
	case c.doc.Testnet:
		return errors.Join(errInTestnet, err)
	}
	return err
}

// notConnected reports whether err is an exit's word that it never connected.
func notConnected(err error) bool {
	var ended *circuit.StreamError
	if !errors.As(err, &ended) || !ended.Remote {
		return false
	}
	switch ended.Reason {
	case circuit.EndRefused, circuit.EndUnresolvable, circuit.EndUnreachable, circuit.EndTimeout, circuit.EndPolicy, circuit.EndBusy:
		return true
	}
	return false
}

// byHost is the error of an open stream that the host, not the network, has ended.
type byHost struct{ error }

func (e byHost) Unwrap() error { return e.error }

// Reason is what a request comes to that was not answered before.
func (byHost) Reason() string { return errRefused.reason }

// reset gives an error its reason if it is the exit's word that the host reset the connection.
func reset(err error) error {
	if ended, ok := errors.AsType[*circuit.StreamError](err); ok && ended.Remote && ended.Reason == circuit.EndReset {
		return byHost{err}
	}
	return err
}

// judge turns the error of a stream that did not open into a verdict.
func judge(err error) verdict {
	v := judgeAlone(err)
	v.final = v.final || errors.Is(err, errMaybeDelivered)
	return v
}

func judgeAlone(err error) verdict {
	var ended *circuit.StreamError
	switch {
	case errors.Is(err, errUnheard):
		return verdict{fail: errCircuitSilent, silent: true, hangs: errors.Is(err, errGuardUnheard)}
	case errors.As(err, &ended) && ended.Remote:
		switch ended.Reason {
		case circuit.EndRefused:
			return verdict{fail: errRefused, final: true}
		case circuit.EndUnresolvable:
			if errors.Is(err, errToLoopback) {
				return verdict{fail: errLocalhost, final: true}
			}
			return verdict{fail: errNotFound, final: true}
		case circuit.EndUnreachable:
			return verdict{fail: errUnreachable, skipExit: true}
		case circuit.EndTimeout:
			return verdict{fail: errTimeout, skipExit: true}
		case circuit.EndPolicy:
			if errors.Is(err, errToLoopback) {
				return verdict{fail: errExitLoopback, skipExit: true}
			}
			if errors.Is(err, errInTestnet) {
				return verdict{fail: errExitTestnet, skipExit: true}
			}
			return verdict{fail: errExitRefuses, skipExit: true}
		case circuit.EndBusy:
			return verdict{fail: errCircuit("the exit is busy"), later: true}
		case circuit.EndReset, circuit.EndDone:
			return verdict{fail: errRefused, final: true}
		}
		return verdict{fail: errCircuit("the exit failed"), skipExit: true}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return verdict{fail: errTimeout, skipExit: true}
	case errors.Is(err, carrier.ErrClosed), errors.As(err, &ended):
		return verdict{fail: errCircuit("its circuit was lost")}
	}
	return verdict{fail: errCircuit("its circuit could not be used")}
}
