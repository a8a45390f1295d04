package planted

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"regexp"
	"strings"
)

// Forms are the ways in which [Quote] writes what it quotes.
var Forms = []func(string) string{
	func(s string) string { return s },
	func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	func(s string) string { return base64.URLEncoding.EncodeToString([]byte(s)) },
	url.QueryEscape,
	url.PathEscape,
	html.EscapeString,
	inJSON,
	func(s string) string { return inJSON(inJSON(s)) },
	func(s string) string { return hex.EncodeToString([]byte(s)) },
	func(s string) string { return each(s, "%%%02x") },
	func(s string) string { return each(s, "&#%d;") },
}

// Bodies are the answers in which [Quote] quotes: a status, 0 if it isn't HTTP at all, and a body,
// in which %[1]s stands for a word that may be secret, and %[2]s for the whole request.
var Bodies = []struct {
	Status int
	Body   string
}{
	{503, `{"error_code":"%[1]s","error_msg":"%[2]s","request_id":"%[1]s","encoded_authorization_message":"%[2]s"}`},
	{400, `{"error_code":"IIC.1216","error_msg":"%[2]s","encoded_authorization_message":"%[1]s"}`},
	{403, `{"error":{"code":"Organizations.1007","message":"%[2]s","request_id":"%[1]s"}}`},
	{403, `{"error_code":"STS5.1001","error_msg":"%[1]s %[2]s","encoded_authorization_message":"%[2]s"}`},
	{409, `{"error_code":"Organizations.9904","error_msg":"%[1]s"}`},
	{404, `{"code":"%[1]s","message":"%[2]s"}`},
	{401, `{"error_code":"APIGW.0301","error_msg":"Incorrect IAM authentication information: %[2]s"}`},
	{302, `<html><title>%[1]s</title>%[2]s</html>`},
	{429, `{"error_msg":["%[1]s"],"error":"%[2]s"}`},
	{200, `{"error_code":"%[1]s","error_msg":"%[2]s"}`},
	{200, `{"%[1]s":"%[2]s"}`},
	{200, `%[2]s`},
	{200, `{"regions":"%[1]s","accounts":{"%[1]s":1},"credentials":"%[1]s","FailedEntryCount":"%[1]s"}`},
	{200, `{"credentials":{"access_key_id":"%[1]s\n","secret_access_key":["%[1]s"]},"SecretString":"%[2]s"}`},
	{200, `{"SecretBinary":"%[1]s","FailedEntryCount":1,"Entries":[{"ErrorCode":"%[1]s","ErrorMessage":"%[2]s"}]}`},
	{200, `{"SecretString":"{\"ak\":\"%[1]s\n\",\"sk\":[\"%[1]s\"]}","FailedEntryCount":1,"Entries":[]}`},
	{400, `{"__type":"AccessDeniedException","Message":"%[2]s","message":"%[2]s"}`},
	{400, `{"__type":"%[1]s","message":"%[1]s"}`},
	{403, `<ErrorResponse><Error><Code>AccessDenied</Code><Message>%[2]s</Message></Error>` +
		`<RequestId>%[1]s</RequestId></ErrorResponse>`},
	{400, `<ErrorResponse><Error><Code>%[1]s</Code><Message>%[1]s</Message></Error></ErrorResponse>`},
	{0, "%[2]s"},
	{0, "HTTP/1.1 200 OK\r\n%[1]s\r\n\r\n"},
	{0, "HTTP/1.1 %[1]s\r\n\r\n"},
	{0, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%[1]s\r\n"},
	{0, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"%[1]s\":"},
}

// Quote is an answer that quotes a request in one of the [Bodies] and in headers, in one of the
// [Forms]: what goes over the wire. Half of the answers ask for so long a wait that nobody waits.
func Quote(request string, body, form int) string {
	write := Forms[form]
	word, whole := write(Word(request, body)), write(request)
	b := Bodies[body]
	if b.Status == 0 {
		return fmt.Sprintf(b.Body+"%.0[1]s%.0[2]s", word, whole)
	}
	line := strings.NewReplacer("\r", " ", "\n", " ")
	text := fmt.Sprintf(b.Body+"%.0[1]s%.0[2]s", inJSON(word), inJSON(whole))
	var answer strings.Builder
	fmt.Fprintf(&answer, "HTTP/1.1 %d %s\r\nContent-Length: %d\r\nConnection: close\r\n",
		b.Status, line.Replace(whole), len(text))
	if body%2 == 0 {
		answer.WriteString("Retry-After: 3600\r\n")
	}
	for _, name := range []string{
		"Content-Type", "Retry-After", "Location", "X-Request-Id", "Date", "X-Amzn-Requestid", "X-Amzn-Errortype",
		"Www-Authenticate", "Server", "Set-Cookie", "Proxy-Authenticate",
	} {
		fmt.Fprintf(&answer, "%s: %s\r\n", name, line.Replace(word))
	}
	return answer.String() + "\r\n" + text
}

// Word is one of the words of a request that look like a secret, "none" if it has none.
func Word(request string, number int) string {
	found := regexp.MustCompile(`(?:Access|Credential)=([^,/\s]+)|(?i:token): (\S+)|"id_token":"([^"]+)"|`+
		`\?key=(\S+)|Proxy-Authorization: Basic (\S+)`).FindAllStringSubmatch(request, -1)
	if found == nil {
		return "none"
	}
	return cmp.Or(found[number%len(found)][1:]...)
}

// inJSON is a text as it stands between the quotes of a JSON string.
func inJSON(s string) string {
	quoted, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string can always be encoded
	}
	return string(quoted[1 : len(quoted)-1])
}
