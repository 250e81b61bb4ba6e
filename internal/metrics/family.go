// SPDX-License-Identifier: BSD-3-Clause

package metrics

import "github.com/prometheus/client_golang/prometheus"

// family is a metric by its name.
type family struct {
	name   string
	kind   prometheus.ValueType
	help   string
	labels []string
}

const (
	counter = prometheus.CounterValue
	gauge   = prometheus.GaugeValue
)

// buildSeconds is the only histogram.
const buildSeconds = "chive_client_circuit_build_seconds"

// families is every metric that is shown. Spec: product §6 (REL-10).
var families = []family{
	{"chive_build_info", gauge, "1; the label is the program's version.", []string{"version"}},
	{"chive_directory_entries", gauge, "Relays on the list that this process holds.", nil},
	{"chive_directory_age_seconds", gauge, "Since the epoch of that list began.", nil},
	{"chive_gossip_messages_total", counter, "Messages between relays about the list.", []string{"direction", "kind"}},
	{"chive_gossip_bytes_total", counter, "Their bytes, in steps of 1 MiB.", []string{"direction"}},
	{"chive_relay_connections", gauge, "Links, of clients and relays.", []string{"direction", "state"}},
	{"chive_relay_traffic_bytes_total", counter, "Bytes of links at the socket, in steps of 1 MiB.", []string{"direction"}},
	{"chive_relay_circuits", gauge, "Circuits.", []string{"state"}},
	{"chive_relay_handshakes_total", counter, "Circuit handshakes.", []string{"type", "action"}},
	{"chive_relay_dos_total", counter, "What was refused to those who ask too often.", []string{"type"}},
	{"chive_relay_overload", gauge, "1: there is too much of it now.", []string{"kind"}},
	{"chive_relay_memory_bytes", gauge, "The relay's memory account, in steps of 1 MiB.", []string{"pool"}},
	{"chive_relay_killed_circuits_total", counter, "Circuits that were closed at a bound of ours.", []string{"reason"}},
	{"chive_relay_violations_total", counter, "Circuits closed because a peer broke the protocol.", []string{"kind"}},
	{"chive_relay_accounting_bytes", gauge, "The quota of the period, in steps of 1 MiB.", []string{"kind"}},
	{"chive_relay_reachable", gauge, "1: other relays have dialled back. Missing: not known.", []string{"family"}},
	{"chive_relay_flag", gauge, "1: as the newest list says.", []string{"name"}},
	{"chive_relay_weight", gauge, "Share of all running relays' weight.", nil},
	{"chive_relay_cert_expiry_timestamp_seconds", gauge, "When a certificate ends.", []string{"kind"}},
	{"chive_exit_streams_total", counter, "Streams to destinations.", []string{"result"}},
	{"chive_exit_refused_total", counter, "Destinations that were not dialled.", []string{"reason"}},
	{"chive_exit_dns_queries_total", counter, "Names that were looked up.", []string{"result"}},
	{"chive_exit_datagrams_total", counter, "Datagrams.", []string{"direction"}},
	{"chive_client_circuits_total", counter, "Circuits of this client.", []string{"result"}},
	{buildSeconds, prometheus.UntypedValue, "How long circuits took to build.", nil},
	{"chive_client_streams_total", counter, "Streams of this client.", []string{"result"}},
	{"chive_client_bare_addresses_total", counter, "Addresses that programs asked this client for without having looked them up through it: their look-ups may leak.", nil},
}
