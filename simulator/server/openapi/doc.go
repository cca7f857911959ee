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
// Two actions are ours, because the platform has the switch of rule P7 in its
// console only: UpdateProductOTASecurity (ProductKey, Enable) and
// QueryProductOTASecurity (ProductKey) answer with Data {ProductKey, Enable,
// PublicKey}; the key is what devices verify digestsign with, as PEM.
//
// We are more lenient than the platform in three places: a list of one item may be
// given under its bare name, ProductKey may be left out where another id says
// enough, and what is registered in a batch is there when the call is answered, so
// that polling its status ends at the first try.
//
// Fields of answers are named as on the wire, so that one Go type is both the JSON
// and the XML of an answer.
package openapi
