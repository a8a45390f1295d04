// Package processes runs the processes of a built function on this machine. Lambda and
// FunctionGraph both start an executable called bootstrap, which asks a local HTTP API for events
// one by one; what the two have in common is here, and what each says in its own words is in
// lambdalocal and functiongraphlocal, which are a [Config] and an API on top of a [Runner].
//
// A process serves one invocation at a time and is used again until it exits, is killed at its
// deadline, or its binary is rebuilt. Processes need a Unix: elsewhere [New] fails.
package processes
