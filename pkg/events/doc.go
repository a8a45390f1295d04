// Package events reads the CloudEvents that registrar takes and writes those it answers with. It
// takes events out of what they arrived in, decodes their data, and makes result events of results.
//
//	payload -> Unwrap -> Record -> Input.Decode -> T ... Result -> NewResultEvent -> CloudEvent
//
// It has its own strict decoding: exact keys, no duplicates, no data beside data_base64, valid
// UTF-8. encoding/json and the decoder of the CloudEvents SDK are lenient in all of these (and the
// SDK's 2.16.2 panics on some data_base64), and what identifies an event must not be guessed.
// Result events are made with the SDK.
//
// Unwrap takes CPU time and memory in proportion to the payload, whatever is in it.
package events
