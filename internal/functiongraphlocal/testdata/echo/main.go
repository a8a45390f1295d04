// Command echo is a FunctionGraph function of the runtime Custom that does what it is told.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

var api = "http://" + os.Getenv("RUNTIME_API_ADDR") + "/v1/runtime/invocation/"

func main() {
	switch os.Getenv("ECHO_INIT") {
	case "exit":
		fmt.Println("bad configuration")
		os.Exit(3)
	case "hang":
		time.Sleep(time.Hour)
	}
	var refused []int
	for {
		status, header, event := call(http.MethodGet, "request", "")
		id := header.Get("X-Cff-Request-Id")
		if status != http.StatusOK || id == "" {
			refused = append(refused, status)
			continue
		}
		way, body := handle(id, header, event, refused)
		if way != "" {
			call(http.MethodPost, way+"/"+id, body)
		}
	}
}

// handle does what the event says, and returns how to answer and what.
func handle(id string, header http.Header, event string, refused []int) (way, body string) {
	var command struct{ Do, Text, URL string }
	_ = json.Unmarshal([]byte(event), &command)
	switch command.Do {
	case "error":
		return "error", encode(map[string]string{"errorType": "BusyError", "errorMessage": command.Text})
	case "exit":
		os.Exit(map[string]int{"1": 1}[command.Text])
	case "hang":
		fmt.Println("hanging", os.Getpid())
		select {}
	case "forget": // asks for more without an answer
		status, _, _ := call(http.MethodGet, "request", "")
		fmt.Println("request while running:", status)
	case "print":
		fmt.Println(command.Text)
		fmt.Fprintln(os.Stderr, "to stderr")
		fmt.Print("half a line")
	case "large":
		status, _, _ := call(http.MethodPost, "response/"+id, strings.Repeat("x", 6<<20+1))
		fmt.Println("response:", status)
		return "", ""
	case "long": // allowed, and too long for a destination
		return "response", encode(strings.Repeat("x", 256<<10))
	case "env":
		return "response", encode(os.Environ())
	case "pid":
		return "response", encode(os.Getpid())
	case "headers":
		return "response", encode(header)
	case "refused":
		return "response", encode(refused)
	case "meet": // answers the pid once the one at URL answers
		resp, err := http.Get(command.URL)
		if err != nil {
			return "error", encode(err.Error())
		}
		resp.Body.Close()
		return "response", encode(os.Getpid())
	case "misuse":
		for _, try := range []string{"response/0", "error/0", "response/" + id, "response/" + id, "error/" + id} {
			status, _, _ := call(http.MethodPost, try, `"first"`)
			fmt.Printf("%s: %d\n", strings.Replace(try, id, "<id>", 1), status)
		}
		return "", ""
	}
	return "response", event
}

func call(method, path, body string) (status int, header http.Header, answer string) {
	req, err := http.NewRequest(method, api+path, strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		panic(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		panic(err)
	}
	return resp.StatusCode, resp.Header, string(b)
}

func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}
