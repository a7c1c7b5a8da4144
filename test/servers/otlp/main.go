// An OTLP/HTTP receiver for the tests: the OpenTelemetry Collector's own decoder of traces behind net/http.
//
//	POST /v1/traces             takes an export request, plain or gzip; ?reject=N answers that N spans were thrown away
//	GET  /received              what was taken so far, as the Collector writes it: a list of export requests
//
// It prints its address as one line, and ends when its standard input does.
package main

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"

	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

const bodyMax = 20 << 20 // the limit that OTLP recommends to receivers

type receiver struct {
	mutex    sync.Mutex
	received []json.RawMessage
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	r := &receiver{received: []json.RawMessage{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/traces", r.export)
	mux.HandleFunc("GET /received", r.list)
	fmt.Println(listener.Addr())
	fmt.Fprintln(os.Stderr, http.Serve(listener, mux))
	os.Exit(1)
}

func (r *receiver) export(w http.ResponseWriter, request *http.Request) {
	if kind := request.Header.Get("Content-Type"); kind != "application/json" {
		http.Error(w, "expected application/json, got "+kind, http.StatusUnsupportedMediaType)
		return
	}
	reader := io.Reader(request.Body)
	if request.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(request.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		reader = unzipped
	}
	body, err := io.ReadAll(io.LimitReader(reader, bodyMax))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	traces := ptraceotlp.NewExportRequest()
	if err := traces.UnmarshalJSON(body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	understood, err := traces.MarshalJSON()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	r.mutex.Lock()
	r.received = append(r.received, understood)
	r.mutex.Unlock()
	answer := ptraceotlp.NewExportResponse()
	if rejected, err := strconv.ParseInt(request.URL.Query().Get("reject"), 10, 64); err == nil {
		answer.PartialSuccess().SetRejectedSpans(rejected)
		answer.PartialSuccess().SetErrorMessage("asked to reject")
	}
	bytes, err := answer.MarshalJSON()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(bytes)
}

func (r *receiver) list(w http.ResponseWriter, _ *http.Request) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(r.received)
}
