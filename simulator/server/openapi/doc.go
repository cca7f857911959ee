// Package openapi is the cloud API: the RPC-style HTTP interface (product Iot,
// version 2018-01-20) that a customer's scripts and the official client libraries
// speak, and a small client of it for our own commands.
//
// A request is a set of named parameters, in the query, in a form or in both. One
// table says which action reads which of them, and a handler turns them into one
// change or one question to the cloud. No rule of the platform lives here: names,
// limits of jobs and states of tasks are package simulator's; this package bounds
// what it reads, and says which parameter broke which limit.
//
// The promise: only a request signed with a known access key within the last
// quarter of an hour, and never seen before, reaches an action. What a request
// leaves unclear (a parameter twice, an ability that is not built yet) is refused
// rather than guessed.
//
// Trust: whoever holds an access key may do everything that its account may. What
// is not signed is read only as far as is needed to check the signature, within
// fixed limits.
//
// Fields of answers are named as on the wire, so that one Go type is both the JSON
// and the XML of an answer.
package openapi
