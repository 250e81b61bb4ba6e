// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// built finds a program that .ci/phases/e2e.sh builds from a module of its own, whose
// modules only that phase fetches: this process has no way out.
func built(t *testing.T, variable, module string) string {
	t.Helper()
	path := os.Getenv(variable)
	if path == "" {
		t.Skipf("NOT TESTED: %s names no program; bash .ci/phases/e2e.sh builds it from %s", variable, module)
	}
	return path
}

// btcdIsolation is what docs/recipes.md says beside --proxy.
var btcdIsolation = []string{"--proxyuser=btcd", "--proxypass=btcd", "--torisolation"}

// TestBitcoin has one btcd node learn the blocks of another that it reaches through the
// local port alone, by a name that only exits know.
//
// Spec: product §4.7.
func TestBitcoin(t *testing.T) {
	btcd := built(t, "CHIVE_BTCD", "testnet/compat/btcd")
	c := newCompat(t)
	const (
		peerName = "bitcoin.test"
		blocks   = 25
		payee    = "SMfomM2izVjU3ohTVLtVKyXzQJvaLViRpE" // of simnet; nobody has its key
	)
	c.row(t, "two nodes", func(t *testing.T) {
		peer := freePort(t)
		c.town.lead(peerName, 18555, peer)
		full := c.startBtcd(t, btcd, "--listen="+peer, "--miningaddr="+payee)
		var hashes []string
		full.ask(t, "generate", &hashes, blocks)
		if len(hashes) != blocks {
			t.Fatalf("%d blocks were made, want %d", len(hashes), blocks)
		}
		fresh := c.startBtcd(t, btcd, append([]string{"--nolisten", "--connect=" + peerName + ":18555", "--proxy=" + c.socks}, btcdIsolation...)...)
		best := hashes[blocks-1]
		for deadline := time.Now().Add(programPatience); ; {
			var got string
			fresh.ask(t, "getbestblockhash", &got)
			if got == best {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("the second node is at %s\n%s", got, fresh.log())
			}
			fresh.tick()
		}
		// What is made later arrives, too.
		full.ask(t, "generate", &hashes, 1)
		for deadline := time.Now().Add(programPatience); ; {
			var got string
			fresh.ask(t, "getbestblockhash", &got)
			if got == hashes[0] {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("a new block did not arrive: %s\n%s", got, fresh.log())
			}
			fresh.tick()
		}
		var peers []struct {
			Addr string `json:"addr"`
		}
		full.ask(t, "getpeerinfo", &peers)
		if len(peers) != 1 {
			t.Errorf("the first node has %d peers, want the second alone", len(peers))
		}
	})
}

// btcdNode is a node that runs, and where it takes orders.
type btcdNode struct {
	rpc   string
	out   *spoken
	ticks *time.Ticker
}

// spoken is a program's output so far.
type spoken struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write collects.
func (s *spoken) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *spoken) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func (b *btcdNode) log() string { return clip(b.out.String()) }

// tick waits for the time of the next question.
func (b *btcdNode) tick() { <-b.ticks.C }

// startBtcd starts a node of a network of its own, simnet, and waits until it answers.
func (c *compat) startBtcd(t *testing.T, btcd string, args ...string) *btcdNode {
	t.Helper()
	b := &btcdNode{rpc: freePort(t), out: &spoken{}, ticks: time.NewTicker(50 * time.Millisecond)}
	t.Cleanup(b.ticks.Stop)
	dir := t.TempDir()
	conf := filepath.Join(dir, "btcd.conf")
	if err := os.WriteFile(conf, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	args = append([]string{"--simnet", "--configfile=" + conf, "--datadir=" + dir, "--logdir=" + dir,
		"--notls", "--rpcuser=u", "--rpcpass=p", "--rpclisten=" + b.rpc}, args...)
	cmd := exec.Command(btcd, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir}
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, b.out, b.out
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	for deadline := time.Now().Add(programPatience); ; {
		conn, err := net.DialTimeout("tcp", b.rpc, time.Second)
		if err == nil {
			_ = conn.Close()
			return b
		}
		select {
		case <-ended:
			t.Fatalf("btcd ended: %s", b.log())
		case <-b.ticks.C:
		}
		if time.Now().After(deadline) {
			t.Fatal("btcd takes no orders")
		}
	}
}

var errBtcd = errors.New("btcd refused")

// ask gives an order and decodes the answer.
func (b *btcdNode) ask(t *testing.T, method string, answer any, params ...any) {
	t.Helper()
	if err := b.call(t.Context(), method, answer, params); err != nil {
		t.Fatalf("%s: %v", method, err)
	}
}

func (b *btcdNode) call(ctx context.Context, method string, answer any, params []any) error {
	ctx, cancel := context.WithTimeout(ctx, programPatience)
	defer cancel()
	if params == nil {
		params = []any{}
	}
	body, err := json.Marshal(map[string]any{"jsonrpc": "1.0", "id": 1, "method": method, "params": params})
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+b.rpc+"/", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.SetBasicAuth("u", "p")
	r.Header.Set("Content-Type", "application/json")
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	got, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		return err
	}
	defer got.Body.Close()
	var reply struct {
		Result json.RawMessage `json:"result"`
		Error  json.RawMessage `json:"error"`
	}
	if err := json.NewDecoder(got.Body).Decode(&reply); err != nil {
		return err
	}
	if len(reply.Error) > 0 && !strings.EqualFold(string(reply.Error), "null") {
		return errors.Join(errBtcd, errors.New(string(reply.Error)))
	}
	return json.Unmarshal(reply.Result, answer)
}
