// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"context"
	"errors"
	"strings"
)

// The reasons of product §4.6, in its order, then four that only this package
// gives.
const (
	reasonPrivateAddress      = "private_address"
	reasonExitPolicy          = "exit_policy"
	reasonRefusedIP           = "refused_ip"
	reasonStarting            = "starting"
	reasonNetworkDown         = "network_down"
	reasonNameNotFound        = "name_not_found"
	reasonHostUnreachable     = "host_unreachable"
	reasonRefusedByTarget     = "refused_by_target"
	reasonTimeout             = "timeout"
	reasonServiceNotFound     = "service_not_found"
	reasonServiceBad          = "service_descriptor_bad"
	reasonIntroductionFailed  = "introduction_failed"
	reasonRendezvousFailed    = "rendezvous_failed"
	reasonIntroductionTimeout = "introduction_timeout"
	reasonAuthMissing         = "client_auth_missing"
	reasonAuthWrong           = "client_auth_wrong"
	reasonServiceAddressBad   = "service_address_bad"
	reasonCircuitFailed       = "circuit_failed"

	reasonBadRequest     = "bad_request"
	reasonUnknownCommand = "unknown_command"
	reasonAddressType    = "address_type"
	reasonBadAnswer      = "bad_answer"
)

// outcome is how one reason reaches a program.
type outcome struct {
	reason   string
	socks5   byte
	extended byte // 0: the same as socks5
	http     int
	sentence string
}

// outcomes is product §4.6. SOCKS4 answers 91 to all.
var outcomes = [...]outcome{
	{reasonPrivateAddress, 2, 0, 403, "The address is private or local and cannot be reached through the network. Exclude it from proxying (NO_PROXY)."},
	{reasonExitPolicy, 2, 0, 403, "No exit permits this port. Use another port, or wait for an exit that permits it."},
	{reasonRefusedIP, 2, 0, 403, "This listener refuses bare addresses, because the program may have looked the name up outside. Let the proxy resolve names: socks5h://, --socks4a, or http://."},
	{reasonStarting, 3, 0, 503, "chive is still starting. Try again shortly; its terminal shows the progress and what holds it up."},
	{reasonNetworkDown, 3, 0, 503, "The network cannot be reached. Check this computer's connection; chive's terminal says what fails."},
	{reasonNameNotFound, 4, 0, 502, "The name does not exist. Check its spelling."},
	{reasonHostUnreachable, 4, 0, 502, "The target cannot be reached from the exit. Try again later or another address of it."},
	{reasonRefusedByTarget, 5, 0, 502, "The target refused or dropped the connection. Check the port, and that the target is running."},
	{reasonTimeout, 6, 0, 504, "The target did not answer in time. Try again; if it stays, the target is down."},
	{reasonServiceNotFound, 4, 0xF0, 502, "The service was not found. It may be offline; check the address, or try again later."},
	{reasonServiceBad, 4, 0xF1, 502, "What the network holds about the service is invalid. Its operator must publish it again."},
	{reasonIntroductionFailed, 4, 0xF2, 502, "The service did not take the introduction. Try again in a minute."},
	{reasonRendezvousFailed, 4, 0xF3, 502, "The meeting with the service failed. Try again in a minute."},
	{reasonIntroductionTimeout, 6, 0xF7, 504, "The service did not answer the introduction in time. Try again in a minute."},
	{reasonAuthMissing, 4, 0xF4, 403, "The service admits only clients it knows. Ask its operator for access."},
	{reasonAuthWrong, 4, 0xF5, 403, "The service does not accept this client's key. Ask its operator to authorise it."},
	{reasonServiceAddressBad, 4, 0xF6, 502, "The service address is malformed. Copy it again, all 56 characters."},
	{reasonCircuitFailed, 1, 0, 502, "No path to the target could be built, or it broke. Try again; if it stays, chive status --explain last says more."},

	{reasonBadRequest, 1, 0, 400, "The request is malformed. The program sent something that is not valid HTTP for a proxy."},
	{reasonUnknownCommand, 7, 0, 501, "The request is of a kind that this proxy does not carry. Use CONNECT, or absolute http:// addresses."},
	{reasonAddressType, 8, 0, 501, "The kind of address is unknown to this proxy. Use names, IPv4 or IPv6 addresses."},
	{reasonBadAnswer, 1, 0, 502, "The target's answer is not valid HTTP. Check that the port speaks http."},
}

// outcomeOf finds a reason; one outside the list counts as circuit_failed, so
// that nothing but the list ever reaches a program.
func outcomeOf(reason string) *outcome {
	var fallback *outcome
	for i := range outcomes {
		if outcomes[i].reason == reason {
			return &outcomes[i]
		}
		if outcomes[i].reason == reasonCircuitFailed {
			fallback = &outcomes[i]
		}
	}
	return fallback
}

// socks5Code is the reply code of SOCKS5.
func (o *outcome) socks5Code(extended bool) byte {
	if extended && o.extended != 0 {
		return o.extended
	}
	return o.socks5
}

// refusal is an error of this package that has a reason.
type refusal string

func (r refusal) Error() string  { return "proxy: " + string(r) }
func (r refusal) Reason() string { return string(r) }

// told is a refusal with a sentence of its own, for a kind of name or address
// that the reason's sentence does not help with.
type told struct {
	refusal
	sentence string
}

const (
	sayOnion     = ".onion names belong to Tor; chive does not reach them. Use Tor for them."
	sayAlt       = "Names under .alt are in no public name system, and chive knows only those under chive.alt. Check the name."
	sayLocal     = "Names under .local belong to the user's own network and are not reached through chive. Exclude them from proxying (NO_PROXY)."
	saySingle    = "A name of one label means something on the user's own network only. Write it with its domain, or exclude it from proxying (NO_PROXY)."
	sayUnmapped  = "The address stood for a name under chive.alt, and that is over, or another listener or program was given it. Look the name up again."
	sayNoAutomap = "Addresses from 198.18.0.0/15 are private, and this listener maps no names to them (automap). Connect by name: socks5h://, --socks4a, or http://."
	sayService   = "This version of chive has no hidden services yet: names under chive.alt lead nowhere."
	sayLocalhost = "localhost is this machine and is not reached through the network. Exclude it from proxying (NO_PROXY)."

	sayPort0    = "Port 0 is no port that anything can be reached at. Name one from 1 to 65535."
	sayDatagram = "The datagram is too large: it has more than the 1,770 bytes that one may carry through the network. Have the program send smaller ones, or use TCP."

	sayLocalhostHere = "localhost is this machine, and the exit does not look it up. In a testnet write 127.0.0.1; else exclude it from proxying (NO_PROXY)."
)

// sentRequest is the failure of a request that had gone upstream as a whole, or a part of it,
// before it failed.
type sentRequest struct{ error }

func (e sentRequest) Unwrap() error      { return e.error }
func (e sentRequest) MaybeArrived() bool { return true }

// sent is err as that of a request that had been sent. What says itself what became of it stays
// as it is: the program's end, or an answer.
func sent(err error) error {
	var r interface{ Reason() string }
	if err == errGone || errors.As(err, &r) && (r.Reason() == reasonBadAnswer || r.Reason() == reasonBadRequest) {
		return err
	}
	return sentRequest{err}
}

// sayArrived is what a program is told of a request that was sent and had no answer.
const sayArrived = "The request was sent and may have arrived: repeat it only where twice does no harm."

// outcomeFor classifies an error, ours or a Dialer's, and says of a request that it may have
// arrived, unless the Dialer's own words are given, which do. Spec: product HTTP-3.
func outcomeFor(err error) *outcome {
	o := outcomeOfError(err)
	var sent interface{ MaybeArrived() bool }
	if errors.As(err, &sent) && sent.MaybeArrived() && o.sentence == outcomeOf(o.reason).sentence {
		own := *o
		own.sentence = strings.TrimSuffix(o.sentence, " ") + " " + sayArrived
		return &own
	}
	return o
}

func outcomeOfError(err error) *outcome {
	var r interface{ Reason() string }
	if t, ok := errors.AsType[told](err); ok {
		o := *outcomeOf(t.Reason())
		o.sentence = t.sentence
		return &o
	}
	if errors.As(err, &r) {
		return worded(outcomeOf(r.Reason()), err)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return outcomeOf(reasonTimeout)
	}
	return outcomeOf(reasonCircuitFailed)
}

// worded gives an outcome the words of a Dialer that knows more than the reason says: why
// the client is not connected, what its last circuit failed with, or what exits refuse, and what to do.
// Spec: product SOCKS-11, HTTP-3.
func worded(o *outcome, err error) *outcome {
	switch o.reason {
	case reasonStarting, reasonNetworkDown, reasonCircuitFailed, reasonExitPolicy:
	default:
		return o
	}
	said, ok := errors.AsType[interface {
		error
		Fix() string
	}](err)
	if !ok || said.Error() == "" || said.Fix() == "" {
		return o
	}
	own := *o
	own.sentence = asSentence(said.Error()) + " " + asSentence(said.Fix())
	return &own
}

// asSentence begins a text with a capital letter and ends it with a full stop.
func asSentence(text string) string {
	text = strings.ToUpper(text[:1]) + text[1:]
	if !strings.HasSuffix(text, ".") {
		text += "."
	}
	return text
}
