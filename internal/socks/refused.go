// SPDX-License-Identifier: BSD-3-Clause

package socks

// Refused is the proxy's word that a request failed.
type Refused struct{ Code byte }

// Error is a constant text.
func (r *Refused) Error() string { return "socks: refused: " + r.Reason() }

// Reason is a word of product §4.6. One code stands for several there; this is the
// usual one of them.
func (r *Refused) Reason() string { return meaningOf(r.Code).reason }

// Text says what happened, without a full stop.
func (r *Refused) Text() string { return meaningOf(r.Code).text }

// Fix says what to do about it.
func (r *Refused) Fix() string { return meaningOf(r.Code).fix }

type meaning struct {
	code              byte
	reason, text, fix string
}

const seeStatus = "Ask the client what holds it up: chive status"

var meanings = [...]meaning{
	{1, "circuit_failed", "No path to the target could be built, or it broke", "Try again; if it stays, ask the client: chive status"},
	{2, "exit_policy", "No exit permits this port, or the address is private or refused by the proxy", "Use another port; reach private addresses without the proxy; let the proxy look names up."},
	{3, "network_down", "The client is still starting, or the network cannot be reached", seeStatus},
	{4, "host_unreachable", "The name does not exist, or its host cannot be reached from the exit", "Check the name, and try again later."},
	{5, "refused_by_target", "The target refused or dropped the connection", "Check the port, and that the target is running."},
	{6, "timeout", "The target did not answer in time", "Try again; if it stays, the target is down."},
	{7, "unknown_command", "The proxy does not carry this kind of request", "Check that --socks is the port of a chive client."},
	{8, "address_type", "The proxy does not know this kind of address", "Use a name, or an IPv4 or IPv6 address."},
	{0xF0, "service_not_found", "The service was not found", "It may be offline. Check the address, or try again later."},
	{0xF1, "service_descriptor_bad", "What the network holds about the service is invalid", "Its operator must publish it again."},
	{0xF2, "introduction_failed", "The service did not take the introduction", "Try again in a minute."},
	{0xF3, "rendezvous_failed", "The meeting with the service failed", "Try again in a minute."},
	{0xF4, "client_auth_missing", "The service admits only clients that it knows", "Ask its operator for access."},
	{0xF5, "client_auth_wrong", "The service does not accept this client's key", "Ask its operator to authorise it."},
	{0xF6, "service_address_bad", "The service's address is malformed", "Copy it again, all 56 characters."},
	{0xF7, "introduction_timeout", "The service did not answer the introduction in time", "Try again in a minute."},
}

// meaningOf explains a code; one that nobody knows is a general failure.
func meaningOf(code byte) meaning {
	for _, m := range meanings {
		if m.code == code {
			return m
		}
	}
	return meanings[0]
}
