// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"chive/internal/control"
	"chive/internal/redact"
)

// keyFiles are the files that a running relay's keys are in. The relay needs none of them
// until it starts again, so that nobody would notice that one was removed. It may be used
// by several goroutines.
type keyFiles struct {
	mu    sync.Mutex
	names map[string]bool
}

// knownFiles are those of keys that were read.
func knownFiles(k *relayKeys) *keyFiles {
	f := &keyFiles{names: map[string]bool{vrfFile: true}}
	if k.offline == nil {
		f.names[identityFile] = true
	} else {
		f.names[offlinePublicFile] = true
		if k.offline.certified != nil {
			f.names[certifiedFile] = true
		}
	}
	for _, c := range k.committee {
		f.names[committeeName(c.term)] = true
	}
	for _, o := range k.onion {
		f.names[onionName(o.serial)] = true
	}
	return f
}

func (f *keyFiles) add(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.names[name] = true
}

// drop forgets a file that is about to be erased.
func (f *keyFiles) drop(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.names, name)
}

// missing returns the files that are not in the folder any more, in the order of their
// names, and whether those are all.
func (f *keyFiles) missing(folder string) (names []string, all bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(f.names)) {
		_, err := os.Lstat(filepath.Join(folder, name))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			names = append(names, name)
		}
	}
	return names, len(names) == len(f.names)
}

// fewNames is how many key files are named that are gone.
const fewNames = 4

// gone says that key files of a relay that runs were removed, and what to do, without a full
// stop each; empty: all are there. A relay that is started with these keys elsewhere while this one runs would sign beside
// it (KEY-8).
func (r *keyRing) gone(state string) (what, fix string) {
	names, all := r.files.missing(r.folder)
	if len(names) == 0 {
		return "", ""
	}
	what = "key files of this relay were removed while it runs: " + strings.Join(names[:min(len(names), fewNames)], ", ")
	if more := len(names) - fewNames; more > 0 {
		what += " and " + count(more, "other")
	}
	if all {
		what = "the folder of this relay's keys was removed while it runs: " + r.folder
	}
	after := "without them it cannot start again"
	if !slices.ContainsFunc(names, func(n string) bool {
		return n == identityFile || n == vrfFile || n == offlinePublicFile || n == certifiedFile
	}) {
		after = "after a start without them it takes no part in the committee in their terms, and circuits fail that were made for them"
	}
	return what + ". It goes on with what it has in memory; " + after, "Put them back, or stop this process and then restore a backup: chive keys restore --state " + quote(state) +
		" FILE. Start nothing else with these keys while it runs. Without a backup the relay's identity is lost when it stops"
}

// look shows the relay to who watches it, and logs once that its keys' files are gone.
func (r *relayRun) look(source *RelaySource, gone *bool) control.Relay {
	what, _ := r.ring.gone(r.state.dir)
	lost := what != ""
	switch {
	case lost && !*gone:
		r.log.Error().EmbedObject(redact.RoleRelay).EmbedObject(redact.Event("keys_gone")).
			Msg("key files were removed while the relay runs; its status says what to do")
	case !lost && *gone:
		r.log.Info().EmbedObject(redact.RoleRelay).EmbedObject(redact.Event("keys_back")).
			Msg("the relay's key files are there again")
	}
	*gone = lost
	return source.part(r.doc)
}
