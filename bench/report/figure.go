// SPDX-License-Identifier: BSD-3-Clause

package report

// Figure is one thing that is measured of every system.
type Figure struct {
	ID       string // key in the JSON
	Title    string
	Unit     string
	Decimals int
	Higher   bool    // more is better
	Goal     float64 // chive is to be that many times as good as the best of Tor; 0: no such goal
	Aim      float64 // and, if it can be, that many times
	Most     float64 // chive's value is to be at most that; 0: no such goal
	Chart    bool    // shown in the chart
}

// IDs of the figures.
const (
	Join      = "join_seconds"
	JoinBytes = "join_kilobytes"
	Build     = "circuit_build_p50_milliseconds"
	Build95   = "circuit_build_p95_milliseconds"
	Idle      = "round_trip_idle_milliseconds"
	Awake     = "round_trip_awake_milliseconds"
	Loaded    = "round_trip_loaded_milliseconds"
	Built50   = "first_byte_built_p50_milliseconds"
	Built95   = "first_byte_built_p95_milliseconds"
	Fresh50   = "first_byte_fresh_p50_milliseconds"
	Fresh95   = "first_byte_fresh_p95_milliseconds"
	Down      = "down_megabytes_per_second"
	Up        = "up_megabytes_per_second"
	Down8     = "down8_megabytes_per_second"
	Small     = "small_per_second"
	CPU       = "cpu_seconds_per_gigabyte"
	CPUClient = "cpu_client_seconds_per_gigabyte"
	CPUGuard  = "cpu_guard_seconds_per_gigabyte"
	CPUMiddle = "cpu_middle_seconds_per_gigabyte"
	CPUExit   = "cpu_exit_seconds_per_gigabyte"
	CPUUp     = "cpu_up_seconds_per_gigabyte"
	CPU8      = "cpu_down8_seconds_per_gigabyte"
	RSSFresh  = "relay_fresh_megabytes"
	RSSLoaded = "relay_loaded_megabytes"
	Circuit   = "idle_circuit_kilobytes"
	Settled   = "settled_circuit_kilobytes"
)

// Figures are all figures, in the order of the table. The goals are those of
// docs/performance.md.
func Figures() []Figure {
	return []Figure{
		{ID: Join, Title: "new client: start to first byte", Unit: "s", Decimals: 3, Most: 0.5},
		{ID: JoinBytes, Title: "new client: bytes until then", Unit: "kB", Decimals: 1, Most: 20},
		{ID: Build, Title: "circuit of 3 hops, p50", Unit: "ms", Decimals: 2, Goal: 2, Chart: true},
		{ID: Build95, Title: "circuit of 3 hops, p95", Unit: "ms", Decimals: 2},
		{ID: Idle, Title: "round trip, idle circuit", Unit: "ms", Decimals: 2, Goal: 2, Chart: true},
		{ID: Awake, Title: "round trip, one after another", Unit: "ms", Decimals: 2, Goal: 2},
		{ID: Loaded, Title: "round trip, beside a download", Unit: "ms", Decimals: 2, Goal: 2, Chart: true},
		{ID: Built50, Title: "first byte, built circuit, p50", Unit: "ms", Decimals: 2, Goal: 2, Chart: true},
		{ID: Built95, Title: "first byte, built circuit, p95", Unit: "ms", Decimals: 2},
		{ID: Fresh50, Title: "first byte, fresh circuit, p50", Unit: "ms", Decimals: 2, Goal: 2, Chart: true},
		{ID: Fresh95, Title: "first byte, fresh circuit, p95", Unit: "ms", Decimals: 2},
		{ID: Down, Title: "one stream down", Unit: "MB/s", Decimals: 1, Higher: true, Goal: 2, Aim: 3, Chart: true},
		{ID: Up, Title: "one stream up", Unit: "MB/s", Decimals: 1, Higher: true, Goal: 2, Aim: 3, Chart: true},
		{ID: Down8, Title: "8 streams on 8 circuits, down", Unit: "MB/s", Decimals: 1, Higher: true, Goal: 2, Aim: 3, Chart: true},
		{ID: Small, Title: "50 clients, small objects", Unit: "1/s", Decimals: 0, Higher: true, Goal: 2, Chart: true},
		{ID: CPU, Title: "processor, one stream down, total", Unit: "s/GB", Decimals: 2, Goal: 2, Aim: 3, Chart: true},
		{ID: CPUClient, Title: "  client", Unit: "s/GB", Decimals: 2},
		{ID: CPUGuard, Title: "  guard", Unit: "s/GB", Decimals: 2},
		{ID: CPUMiddle, Title: "  middle", Unit: "s/GB", Decimals: 2},
		{ID: CPUExit, Title: "  exit", Unit: "s/GB", Decimals: 2},
		{ID: CPUUp, Title: "processor, one stream up, total", Unit: "s/GB", Decimals: 2},
		{ID: CPU8, Title: "processor, 8 streams down, total", Unit: "s/GB", Decimals: 2},
		{ID: RSSFresh, Title: "largest relay, fresh", Unit: "MB", Decimals: 1, Most: 24},
		{ID: RSSLoaded, Title: "largest relay, after load", Unit: "MB", Decimals: 1, Most: 100, Chart: true},
		{ID: Circuit, Title: "idle circuit at a relay, just built", Unit: "kB", Decimals: 1},
		{ID: Settled, Title: "idle circuit at a relay, later", Unit: "kB", Decimals: 1, Most: 10, Chart: true},
	}
}
