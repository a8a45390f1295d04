// Command echo is a Lambda function that does what it is told.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

var version = "v1" // set by the linker

// BusyError is an error with a name.
type BusyError struct{ message string }

func (e *BusyError) Error() string { return e.message }

func main() {
	switch os.Getenv("ECHO_INIT") {
	case "exit":
		fmt.Println("bad configuration")
		os.Exit(3)
	case "hang":
		time.Sleep(time.Hour)
	case "report":
		_, _ = post("init/error", `{"errorType":"Init.Bad","errorMessage":"bad configuration"}`)
		os.Exit(1)
	}
	switch os.Getenv("ECHO_SIGTERM") {
	case "":
		lambda.Start(handle)
	case "exit":
		lambda.StartWithOptions(handle, lambda.WithEnableSIGTERM(func() {
			fmt.Println("bye")
			os.Exit(0)
		}))
	case "ignore":
		lambda.StartWithOptions(handle, lambda.WithEnableSIGTERM(func() { fmt.Println("never") }))
	}
}

func handle(ctx context.Context, payload json.RawMessage) (any, error) {
	var command struct{ Do, Text, URL string }
	_ = json.Unmarshal(payload, &command)
	switch command.Do {
	case "error":
		return nil, &BusyError{command.Text}
	case "panic":
		panic(command.Text)
	case "exit":
		os.Exit(map[string]int{"1": 1}[command.Text])
	case "hang":
		fmt.Println("hanging", os.Getpid())
		select {}
	case "late": // answers at its deadline
		<-ctx.Done()
		return "late", nil
	case "fork": // a child that outlives its parent
		child := exec.Command("/bin/sleep", "3600")
		child.Stdout = os.Stdout
		if err := child.Start(); err != nil {
			return nil, err
		}
		fmt.Println("hanging", child.Process.Pid)
		select {}
	case "print":
		fmt.Println(command.Text)
		fmt.Fprintln(os.Stderr, "to stderr")
		fmt.Print("half a line")
		return nil, nil
	case "flood":
		for range 100 {
			fmt.Println(strings.Repeat(command.Text, 10_000))
		}
		return nil, nil
	case "large":
		return strings.Repeat("x", 6<<20+200), nil
	case "env":
		return os.Environ(), nil
	case "pid":
		return os.Getpid(), nil
	case "version":
		return version, nil
	case "context":
		deadline, _ := ctx.Deadline()
		lc, _ := lambdacontext.FromContext(ctx)
		return map[string]any{
			"left_ms": time.Until(deadline).Milliseconds(), "id": lc.AwsRequestID, "arn": lc.InvokedFunctionArn,
			"trace": ctx.Value("x-amzn-trace-id"),
		}, nil
	case "meet": // answers the pid once the one at URL answers
		resp, err := http.Get(command.URL)
		if err != nil {
			return nil, err
		}
		return os.Getpid(), resp.Body.Close()
	case "misuse":
		return misuse(ctx)
	case "streamfail":
		return io.MultiReader(strings.NewReader("partial"), failing{}), nil
	}
	return payload, nil
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, &BusyError{"midway"} }

// misuse answers 202 by itself, after it has tried what isn't allowed, and prints the statuses.
func misuse(ctx context.Context) (any, error) {
	lc, _ := lambdacontext.FromContext(ctx)
	resp, err := http.Get("http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/next")
	if err != nil {
		return nil, err
	}
	resp.Body.Close()
	fmt.Println("next while running:", resp.StatusCode)
	for _, try := range []struct{ what, path string }{
		{"response to a stranger", "invocation/00000000-0000-0000-0000-000000000000/response"},
		{"error to a stranger", "invocation/00000000-0000-0000-0000-000000000000/error"},
		{"init error after init", "init/error"},
		{"response", "invocation/" + lc.AwsRequestID + "/response"},
		{"response again", "invocation/" + lc.AwsRequestID + "/response"},
		{"error after response", "invocation/" + lc.AwsRequestID + "/error"},
	} {
		status, err := post(try.path, `"first"`)
		if err != nil {
			return nil, err
		}
		fmt.Printf("%s: %d\n", try.what, status)
	}
	return "second", nil
}

func post(path, body string) (int, error) {
	resp, err := http.Post("http://"+os.Getenv("AWS_LAMBDA_RUNTIME_API")+"/2018-06-01/runtime/"+path,
		"application/json", bytes.NewBufferString(body))
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}
