// SPDX-License-Identifier: BSD-3-Clause

package chivelab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"chive/bench/lab"
	"chive/bench/load"
)

// relays is how many there are; the last one is the exit.
const relays = 5

// declared is the rate in the relays' records: it decides nothing here, since all
// have the same.
const declared = "100 MiB/s"

// Binary is the program under test.
type Binary struct {
	path    string
	version string
	ports   *lab.Ports
	listen  func(relay, line string)
}

// Open takes the binary at path; an empty path builds it into folder, the way
// releases are built.
func Open(ctx context.Context, path, folder string, ports *lab.Ports) (*Binary, error) {
	if path == "" {
		path = filepath.Join(folder, "chive")
		if err := build(ctx, path); err != nil {
			return nil, err
		}
	}
	text, err := lab.Run(ctx, "", path, "version")
	if err != nil {
		return nil, err
	}
	version, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return &Binary{path: path, version: version, ports: ports}, nil
}

// Listen has f told every line that relays of later networks print. f must not
// block; relays call it at the same time.
func (b *Binary) Listen(f func(relay, line string)) { b.listen = f }

// Version is the first line that chive version prints.
func (b *Binary) Version() string { return b.version }

func build(ctx context.Context, out string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", out, "chive/cmd/chive")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("chivelab: go build: %w: %s", err, text)
	}
	return nil
}

// founder is a relay before it runs.
type founder struct {
	name, state, record string
	port                uint16
	exit                bool
}

// found makes the relays' keys and the network's document in n's folder.
func (n *Network) found(ctx context.Context) ([]founder, error) {
	policy := filepath.Join(n.folder, "exit.policy")
	if err := os.WriteFile(policy, []byte("accept tcp *:*\n"), 0o600); err != nil {
		return nil, err
	}
	all := make([]founder, relays)
	err := load.Each(ctx, relays, 2, func(ctx context.Context, i int) error {
		port, err := n.binary.ports.Next()
		if err != nil {
			return err
		}
		name := fmt.Sprintf("relay%d", i)
		f := founder{
			name: name, port: port, exit: i == relays-1,
			state: filepath.Join(n.folder, name), record: filepath.Join(n.folder, name+".founder"),
		}
		args := []string{
			"keys", "founder", "--state", f.state, "--address", fmt.Sprintf("127.0.0.1:%d", port),
			"--rate", declared, "--out", f.record,
		}
		if f.exit {
			args = append(args, "--exit", policy, "--contact", "nobody@localhost")
		}
		all[i] = f
		_, err = lab.Run(ctx, "", n.binary.path, args...)
		return err
	})
	if err != nil {
		return nil, err
	}
	n.policy, n.genesis = policy, filepath.Join(n.folder, "genesis.chive")
	args := []string{"network", "new", "bench", "--testnet", "--out", n.genesis}
	for _, f := range all {
		args = append(args, "--founder", f.record)
	}
	if _, err := lab.Run(ctx, "", n.binary.path, args...); err != nil {
		return nil, err
	}
	for _, f := range all {
		if _, err := lab.Run(ctx, "", n.binary.path, "network", "sign", "--state", f.state, n.genesis); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// said is what chive prints with --json, as far as it is needed here.
type said struct {
	Schema  string   `json:"schema"`
	Event   string   `json:"event"`
	Percent int      `json:"percent"`
	Tag     string   `json:"tag"`
	Socks   []string `json:"socks"`
	Text    string   `json:"text"`
}

// errSaid says that a line is no such object.
var errSaid = errors.New("chivelab: not an object of chive's")

// parseSaid reads a line of chive's output.
func parseSaid(line string) (said, error) {
	var s said
	if !strings.HasPrefix(line, "{") || json.Unmarshal([]byte(line), &s) != nil || !strings.HasPrefix(s.Schema, "chive.") {
		return said{}, errSaid
	}
	return s, nil
}
