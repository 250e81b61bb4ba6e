// SPDX-License-Identifier: BSD-3-Clause

package layering

import "slices"

// kind says what a package may do besides importing.
type kind string

const (
	pure        kind = "pure"        // no goroutine, clock, socket, file or log
	inout       kind = "I/O"         // sockets, files, goroutines; never logs
	role        kind = "role"        // I/O that may log
	composition kind = "composition" // joins roles into one process
	tooling     kind = "tooling"     // for tests, generators and the log's fields
)

// A layer is one row of the table of packages.
type layer struct {
	path    string   // package, from the module's root
	kind    kind     //
	ours    []string // packages of this module that it may import
	outside []string // modules that it may import
	why     string   // the reason, for whoever is stopped by the row
}

// Modules from outside, by the names used in the rows.
const (
	modAge        = "filippo.io/age"
	modBolt       = "go.etcd.io/bbolt"
	modCBOR       = "github.com/fxamacker/cbor/v2"
	modCobra      = "github.com/spf13/cobra"
	modCompress   = "github.com/klauspost/compress"
	modCrypto     = "golang.org/x/crypto"
	modEdwards    = "filippo.io/edwards25519"
	modErasure    = "github.com/klauspost/reedsolomon"
	modNATPMP     = "github.com/jackpal/go-nat-pmp"
	modNet        = "golang.org/x/net"
	modNoise      = "github.com/flynn/noise"
	modPrometheus = "github.com/prometheus/client_golang"
	modQR         = "rsc.io/qr"
	modSipHash    = "github.com/dchest/siphash"
	modSync       = "golang.org/x/sync"
	modSys        = "golang.org/x/sys"
	modSystemd    = "github.com/coreos/go-systemd/v22"
	modTerm       = "golang.org/x/term"
	modTime       = "golang.org/x/time"
	modTOML       = "github.com/pelletier/go-toml/v2"
	modUPnP       = "github.com/huin/goupnp"
	modYamux      = "github.com/hashicorp/yamux"
	modZerolog    = "github.com/rs/zerolog"
)

// What every _test file may import besides its package's own row.
var (
	testOurs    = []string{"internal/memnet", "internal/testutil"}
	testOutside = []string{
		"github.com/chromedp/chromedp",
		"github.com/chromedp/cdproto",
		"github.com/google/go-cmp",
		"github.com/rogpeppe/go-internal",
		"go.uber.org/goleak",
		"pgregory.net/rapid",
	}
)

// Groups of packages that several rows name.
var (
	basics      = []string{"internal/key", "internal/strictcbor"}
	circuitPure = []string{"circuit", "circuit/cell", "circuit/cgo", "circuit/handshake"}
	directories = []string{ // leftwards: each may import those before it
		"directory/record", "directory/genesis", "directory/vrf", "directory/snapshot",
		"directory/weight", "directory/sybil", "directory/committee", "directory/transition",
		"directory/vote", "directory/reconcile", "directory/gossip", "directory/path", "directory/sync",
		"directory",
	}
	roleInternals = []string{
		"internal/key", "internal/puzzle", "internal/redact", "internal/store", "internal/limit", "internal/metrics",
	}
	testnets = []string{
		"testnet", "testnet/scenario", "testnet/virtual", "testnet/workload", "testnet/adversary",
		"testnet/observer", "testnet/report", "testnet/export", "testnet/model", "testnet/draws",
		"testnet/bootstrap",
	}
)

// layers is the table of packages: who may import whom. A package that is not
// here does not pass, and a row may name packages that are still to be built.
// No arrow points up, and four rows are security statements: see their reasons.
var layers = slices.Concat([]layer{
	{"internal/key", pure, nil, []string{modEdwards, modCrypto},
		"typed keys are the bottom: everything that holds a secret imports them, so they import nobody"},
	{"internal/strictcbor", pure, nil, []string{modCBOR},
		"the only decoder of signed documents; one wrapper, so that no caller can forget an option"},
	{"internal/puzzle", pure, basics, []string{modCrypto},
		"client puzzles are shared by services and mailboxes, which may not import each other"},

	{"internal/agefile", inout, nil, []string{modAge},
		"backups that the tool age opens; only its passphrase recipient"},

	{"circuit/cell", pure, nil, nil,
		"bytes of cells; the link below and the circuit above both need them and nothing else of each other"},
	{"circuit/cgo", pure, nil, nil,
		"the layer cipher stands alone, so that it can be reviewed alone"},
	{"circuit/handshake", pure, []string{"internal/key"}, nil,
		"the circuit handshake stands alone, so that it can be reviewed alone"},
	{"circuit", pure, slices.Concat([]string{"circuit/cell", "circuit/cgo", "circuit/handshake"}, basics), nil,
		"state machines of both ends; they hold no socket, so fuzzers and simulators drive them directly"},
	{"circuit/carrier", inout, []string{"circuit", "circuit/cell"}, nil,
		"drives one end of a circuit over a byte stream; shared by relay and client, which may not import each other (decision 0003)"},
}, directoryLayers(), []layer{
	{"mailbox", pure, slices.Concat([]string{"internal/puzzle"}, basics), []string{modCrypto, modEdwards, modSipHash},
		"opaque boxes: a relay may know them, so they know nothing of messages"},
	{"message", pure, slices.Concat([]string{"mailbox", "internal/puzzle"}, basics), []string{modCrypto, modEdwards, modSipHash, modErasure},
		"end-to-end content: no relay package may import it"},
	{"service/wire", pure, slices.Concat([]string{"internal/puzzle"}, basics), []string{modCrypto, modEdwards},
		"what relays may parse of a hidden service"},
	{"service/endpoint", pure, slices.Concat([]string{"service/wire", "internal/puzzle"}, basics), []string{modCrypto, modEdwards},
		"what only the two ends of a service may read: no relay package may import it"},

	{"link", inout, slices.Concat([]string{"circuit/cell", "internal/limit"}, basics), []string{modNoise, modYamux, modSys, modCrypto},
		"one neighbour; it carries cells without knowing circuits, and cannot log what it carries"},

	{"relay/exit", role, slices.Concat([]string{"directory/record"}, roleInternals), []string{modZerolog, modSync},
		"the only place that dials destinations; it knows policies, not circuits, so what it is told is all it can leak"},
	{"relay/boxstore", role, slices.Concat([]string{"mailbox"}, roleInternals), []string{modZerolog, modSync, modBolt},
		"boxes on disk; it cannot name what is in them"},
	{"relay", role, slices.Concat(circuitPure, []string{"circuit/carrier"}, directories, []string{
		"mailbox", "service/wire", "link", "relay/exit", "relay/boxstore", "internal/nat", "internal/strictcbor",
	}, roleInternals), []string{modZerolog, modSync, modTime},
		"a relay has no name for end-to-end content (message, service/endpoint) and none for the client"},

	{"client/proxy", role, []string{"internal/redact"}, []string{modZerolog, modNet},
		"the front door takes a small Dialer, so that it cannot reach a circuit, a socket or a resolver around it"},
	{"client/dns", role, []string{"client/proxy"}, []string{modZerolog, modNet},
		"as client/proxy, whose names, automap and keys it shares: what may be asked and answered is judged in one place for both doors"},
	{"client/messenger", role, slices.Concat([]string{"message", "mailbox"}, roleInternals), []string{modZerolog, modSync},
		"the only role that opens messages"},
	{"client", role, slices.Concat(circuitPure, []string{"circuit/carrier"}, directories, []string{
		"service/wire", "service/endpoint", "link", "client/proxy", "client/dns", "internal/strictcbor",
	}, roleInternals), []string{modZerolog, modSync, modNet},
		"the user's side; it never imports the relay, so no code path joins the two by accident; x/net for messages to name servers (UDP-5)"},
	{"service", role, slices.Concat(circuitPure, directories, []string{
		"service/wire", "service/endpoint", "internal/strictcbor",
	}, roleInternals), []string{modZerolog, modSync},
		"hidden services open circuits through an interface that the client fulfils"},

	{"internal/store", inout, nil, []string{modBolt, modSys},
		"files and tables; what they hold is the caller's"},
	{"internal/limit", inout, nil, []string{modTime},
		"buckets and quotas count, they do not know what"},
	{"internal/metrics", inout, nil, []string{modPrometheus},
		"the heaviest dependency is confined here"},
	{"internal/nat", inout, nil, []string{modUPnP, modNATPMP},
		"talks to the home router, and to nobody else"},
	{"internal/config", inout, nil, []string{modTOML},
		"the only reader of the environment and of configuration files"},
	{"internal/control", inout, nil, nil,
		"local API; what it serves comes in as interfaces"},
	{"internal/web", inout, []string{"internal/control"}, nil,
		"the page and its assets; what it serves comes in as interfaces, and only its tests name the API that they mount"},

	{"internal/socks", inout, nil, nil,
		"the program's side of our own proxy port; it is handed its connections, so it cannot go around the proxy"},

	{"internal/namespace", inout, nil, []string{modSys},
		"plumbing of Linux's namespaces; what answers inside is the caller's"},
	{"internal/upstream", inout, []string{"internal/socks", "link"}, nil,
		"a link.Transport through somebody else's proxy: it says in link's errors what went wrong, and knows no role"},
	{"internal/front", composition, []string{"client/proxy", "internal/socks"}, []string{modNet},
		"the front door inside chive run: our proxy in front of a running client's port, and nothing else of the client"},

	{"internal/redact", tooling, nil, []string{modZerolog},
		"the only maker of log fields, so that the list of what may be logged is one file"},
	{"internal/memnet", tooling, nil, nil,
		"the network in memory fulfils interfaces of link and exit by shape, without importing them"},
	{"internal/testutil", tooling, nil, testOutside,
		"the only door into virtual time"},
	{"internal/layering", tooling, nil, nil,
		"this test: the standard library's parser is enough"},
	{"internal/gendocs", tooling, []string{"internal/config", "internal/control"}, []string{modCobra},
		"man pages and the API page, made from what the program reads"},

	{"internal/node", composition, slices.Concat([]string{
		"relay", "relay/exit", "client", "client/proxy", "client/dns", "client/messenger", "service",
		"directory", "directory/genesis", "directory/record", "directory/snapshot", "directory/transition", "directory/vrf", "link",
		"directory/sync", "directory/vote", "circuit/handshake",
		"internal/agefile", "internal/upstream", "internal/config", "internal/control", "internal/web", "internal/nat", "internal/strictcbor",
	}, roleInternals), []string{modZerolog, modSync, modSystemd},
		"only composition knows that two roles share a process; it makes the onion keys that it keeps on disk, and verifies the anchor file that both roles are given"},
}, testnetLayers(), []layer{
	{"cmd/chive", composition, slices.Concat([]string{
		"internal/node", "internal/config", "internal/control", "internal/gendocs", "internal/socks", "internal/namespace", "internal/front", "relay", "client", "service", "directory/genesis",
	}, testnets), []string{modCobra, modTerm, modQR, modAge, modSys},
		"flags, files, signals; it names the roles only for their Config"},

	{"bench/report", pure, nil, nil,
		"tables and charts depend on the figures alone"},
	{"bench/measure", inout, nil, []string{modSys},
		"reads other processes; it knows neither network under test"},
	{"bench/load", inout, nil, nil,
		"the load is the same for both networks, so it knows neither"},
	{"bench/lab", inout, nil, nil,
		"starts and ends processes, whatever they are"},
	{"bench/torlab", inout, []string{"bench/lab", "bench/load"}, nil,
		"drives Debian's tor"},
	{"bench/chivelab", inout, []string{"bench/lab", "bench/load"}, nil,
		"drives the binary and imports nothing of the network: what is measured is what is shipped"},
	{"bench/swarm", inout, []string{
		"circuit", "circuit/carrier", "circuit/cell", "directory/genesis", "directory/record", "directory/snapshot", "link",
	}, nil,
		"circuits by the thousand against relays in other processes; it chooses no path, so it needs no client"},
	{"bench", composition, []string{
		"bench/report", "bench/measure", "bench/load", "bench/lab", "bench/torlab", "bench/chivelab", "bench/swarm",
		"directory/snapshot",
	}, nil,
		"measures both networks side by side, from outside"},
})

// directoryLayers lets each package of the directory import those to its left.
func directoryLayers() []layer {
	outside := []string{modCrypto, modEdwards, modSipHash, modCompress}
	var rows []layer
	for i, name := range directories {
		rows = append(rows, layer{name, pure, slices.Concat(directories[:i], basics), outside,
			"the directory is one direction from documents to decisions; the same code runs in relays, clients and the simulator"})
	}
	return rows
}

// testnetLayers lets the testnet import every package but the command.
func testnetLayers() []layer {
	everything := slices.Concat(circuitPure, []string{"circuit/carrier"}, directories, []string{
		"mailbox", "message", "service/wire", "service/endpoint", "service",
		"link", "relay", "relay/exit", "relay/boxstore",
		"client", "client/proxy", "client/dns", "client/messenger",
		"internal/config", "internal/control", "internal/web", "internal/nat",
		"internal/memnet", "internal/testutil", "internal/node", "internal/socks", "internal/strictcbor",
	}, roleInternals)
	outside := []string{modZerolog, modSync, modCompress, modTOML}
	var rows []layer
	for _, name := range testnets {
		others := slices.DeleteFunc(slices.Clone(testnets[1:]), func(other string) bool { return other == name })
		rows = append(rows, layer{name, composition, slices.Concat(everything, others), outside,
			"a whole network in one process is composition; it runs the production code, so it may see all of it"})
	}
	return rows
}
