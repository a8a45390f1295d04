// Package events is what registrar understands and says: it takes CloudEvents out of what they arrived
// in, decodes their data, and makes result events of results.
//
//	payload -> Unwrap -> Record -> Input.Decode -> T ... Result -> NewResultEvent -> CloudEvent
//
// It decodes strictly, and by itself: exact keys, no duplicates, no data beside data_base64, valid UTF-8.
// encoding/json and the decoder of the CloudEvents SDK are lenient in all of these (and the SDK's 2.16.2
// panics on some data_base64), and what identifies an event must not be guessed. Result events are the
// SDK's.
//
// Unwrap takes CPU time and memory in proportion to the payload, whatever is in it.
package events
