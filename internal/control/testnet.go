// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"context"
	"net/http"
	"time"
)

// TestnetSchema names the form of Testnet. Fields are added within it, never changed.
const TestnetSchema = "chive.testnet/1"

// Overseer is the ability to show a whole testnet. The result belongs to the caller. It
// ends when ctx does.
type Overseer interface {
	Testnet(ctx context.Context) *Testnet
}

// Grower is the ability of a testnet of processes to have more of them. Errors that are
// a *Failure are shown as they are. A node that was begun is not awaited.
type Grower interface {
	// Add makes and starts relays that join the network; the last ones are exits.
	Add(ctx context.Context, relays, exits int) error
	// Start starts a node again that has ended.
	Start(ctx context.Context, name string) error
}

// States of a TestnetNode.
const (
	NodeStarting = "starting" // the process runs, and has not said that it is ready
	NodeRunning  = "running"
	NodeSilent   = "silent" // the process runs, and does not answer now
	NodeEnded    = "ended"
)

// Testnet is a testnet as whoever started it sees it.
type Testnet struct {
	Schema  string    `json:"schema"`
	Time    time.Time `json:"time"`
	Driver  string    `json:"driver"` // local: all in one process; proc: a process each
	PID     int       `json:"pid"`    // of the process of chive testnet up
	Network Network   `json:"network"`
	Folder  string    `json:"folder,omitempty"`  // absolute
	Genesis string    `json:"genesis,omitempty"` // file of the network's document
	Socks   []string  `json:"socks"`             // one of each client
	// CurrentEpoch is that of this machine's clock, ListEpoch that of the list that Listed
	// and Marked of the nodes are out of; 0: none was to be had.
	CurrentEpoch uint64        `json:"current_epoch"`
	ListEpoch    uint64        `json:"list_epoch"`
	Nodes        []TestnetNode `json:"nodes"`
}

// TestnetNode is one node of a testnet.
type TestnetNode struct {
	Name  string `json:"name"`
	Role  string `json:"role"`            // relay or client
	Exit  bool   `json:"exit"`            // it is an exit
	State string `json:"state"`           // starting, running, silent or ended
	Ended string `json:"ended,omitempty"` // how it has, a few words
	PID   int    `json:"pid"`             // 0: there is no process
	RID   string `json:"rid,omitempty"`   // of a relay
	// Epoch is that of the newest list that the node holds, DirRoot the list's digest: the
	// same wherever its epoch is.
	Epoch   uint64 `json:"epoch"`
	DirRoot string `json:"dir_root,omitempty"`
	Listed  bool   `json:"listed"` // the newest list of any node that runs has this relay
	Marked  bool   `json:"marked"` // it says that the relay is not running
	Listen  string `json:"listen,omitempty"`
	Folder  string `json:"folder,omitempty"`  // its state folder
	Control string `json:"control,omitempty"` // its control socket, as unix:PATH
	Log     string `json:"log,omitempty"`     // file of what it has said
	Command string `json:"command,omitempty"` // that it runs as, to be pasted
}

// TestnetAdd asks for more relays.
type TestnetAdd struct {
	Relays int `json:"relays"`
	Exits  int `json:"exits"` // of them
}

// TestnetStart asks for a node that has ended.
type TestnetStart struct {
	Name string `json:"name"`
}

// FetchTestnet asks how a testnet stands; see Fetch.
func FetchTestnet(ctx context.Context, path string) (*Testnet, []byte, error) {
	return ask[Testnet](ctx, path, http.MethodGet, "/v1/testnet", TestnetSchema, nil)
}

// PostTestnetAdd has a testnet make and start relays; see Fetch.
func PostTestnetAdd(ctx context.Context, path string, relays, exits int) (*Testnet, []byte, error) {
	return ask[Testnet](ctx, path, http.MethodPost, "/v1/testnet/add", TestnetSchema, TestnetAdd{Relays: relays, Exits: exits})
}

// PostTestnetStart has a testnet start a node again; see Fetch.
func PostTestnetStart(ctx context.Context, path, name string) (*Testnet, []byte, error) {
	return ask[Testnet](ctx, path, http.MethodPost, "/v1/testnet/start", TestnetSchema, TestnetStart{Name: name})
}

func (a *api) testnet(r *request) {
	s, can := a.source.(Overseer)
	if !can {
		r.absent("no testnet in this process")
		return
	}
	t := s.Testnet(r.r.Context())
	t.Schema, t.Socks, t.Nodes = TestnetSchema, orEmpty(t.Socks), orEmpty(t.Nodes)
	r.answer(t)
}

func (a *api) testnetAdd(r *request) {
	var asked TestnetAdd
	s := r.grower(a, &asked)
	if s == nil {
		return
	}
	if asked.Relays < 1 || asked.Exits < 0 || asked.Exits > asked.Relays {
		r.refuse(http.StatusBadRequest, "relays", "relays is 1 or more, and exits at most as many", "Ask for one relay or more.")
		return
	}
	if err := s.Add(r.r.Context(), asked.Relays, asked.Exits); err != nil {
		r.fail(err)
		return
	}
	a.testnet(r)
}

func (a *api) testnetStart(r *request) {
	var asked TestnetStart
	s := r.grower(a, &asked)
	if s == nil {
		return
	}
	if err := s.Start(r.r.Context(), asked.Name); err != nil {
		r.fail(err)
		return
	}
	a.testnet(r)
}

// grower reads the body and returns who can do what it asks for; nil: it was refused.
func (r *request) grower(a *api, body any) Grower {
	s, can := a.source.(Grower)
	if !can {
		r.refuse(http.StatusNotFound, "not_here", "The nodes of this testnet are no processes of their own", "Start one whose nodes are: chive testnet up --driver proc")
		return nil
	}
	if !r.read(body) {
		return nil
	}
	return s
}
