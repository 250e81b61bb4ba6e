// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"net/http"
)

// api answers requests out of a source.
type api struct {
	source Source
	hub    *Hub // nil: no events
	local  bool // over the socket
	table  []route
}

// Handler serves the paths that the local page may use: all but reload, drain, web and
// the two for supervisors. It checks neither host nor origin nor who asks: whoever
// mounts it does. A nil hub has no events. The handler of events returns when its
// request's context ends.
//
// Spec: product API-1, PAGE-2.
func Handler(source Source, hub *Hub) http.Handler {
	return &api{source: source, hub: hub, table: routes()}
}

// request is one request that met its route.
type request struct {
	w  http.ResponseWriter
	r  *http.Request
	id string // what stood at {id}
}

// ServeHTTP answers one request.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	allowed := ""
	for i := range a.table {
		at := &a.table[i]
		id, ok := at.match(r.URL.Path)
		if !ok || at.local && !a.local {
			continue
		}
		if at.method != r.Method {
			allowed = at.method
			continue
		}
		if at.takes == nil && r.ContentLength != 0 {
			h.Set("Connection", "close")
			refuse(w, http.StatusRequestEntityTooLarge, "body", "This path takes no body", "Send none.")
			return
		}
		asked := &request{w, r, id}
		if at.needs == needsClient && a.source.Status().Client == nil {
			asked.absent("no client in this process")
			return
		}
		at.serve(a, asked)
		return
	}
	if allowed != "" {
		h.Set("Allow", allowed)
		refuse(w, http.StatusMethodNotAllowed, "method", "This path is asked with "+allowed+" only", "Use "+allowed+".")
		return
	}
	refuse(w, http.StatusNotFound, "not_found", "There is nothing at this path", "See docs/api.md, or ask for /v1/status.")
}

// read decodes a body of one JSON object, or refuses it.
func (r *request) read(into any) bool {
	body, err := io.ReadAll(http.MaxBytesReader(r.w, r.r.Body, MaxBodySize))
	if err != nil {
		r.w.Header().Set("Connection", "close")
		r.refuse(http.StatusRequestEntityTooLarge, "body", "The body is too long, or did not arrive", "Send 64 KiB at most.")
		return false
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return true
	}
	if kind, _, err := mime.ParseMediaType(r.r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		r.refuse(http.StatusUnsupportedMediaType, "content_type", "The body is not said to be JSON", "Send it with Content-Type: application/json.")
		return false
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if d.Decode(into) != nil || d.Decode(new(struct{})) != io.EOF {
		r.refuse(http.StatusBadRequest, "json", "The body is not one object of the form that this path takes", "See docs/api.md.")
		return false
	}
	return true
}

func (r *request) answer(object any) { answer(r.w, http.StatusOK, object) }

func (r *request) refuse(status int, code, text, fix string) { refuse(r.w, status, code, text, fix) }

// absent says that this process lacks what a path needs.
func (r *request) absent(what string) {
	r.refuse(http.StatusNotFound, "not_here", "There is "+what, "Ask a daemon that has one; chive status shows what this one is.")
}

func refuse(w http.ResponseWriter, status int, code, text, fix string) {
	answer(w, status, Failure{Schema: FailureSchema, Code: code, Text: text, Fix: fix})
}

func answer(w http.ResponseWriter, status int, object any) {
	data, err := json.Marshal(object)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n')) // who asked may be gone
}
