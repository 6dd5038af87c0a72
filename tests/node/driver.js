// SPDX-License-Identifier: Apache-2.0
// The packages of others, one JSON line for each call, whatever order the answers come in.
//
//   {"id": 1, "key": "…", "baseUrl": "…", "method": "email.sent.get", "args": ["…"]}   the official client
//   {"id": 2, "message": "<base64>"}                                                  mailparser
//
// Each is answered {"id", "result"}, or {"id", "thrown"} where the package raised an exception. The client's
// deprecation warnings go to standard error, as console.warn does.

import { createInterface } from 'node:readline';
import { Inbound } from '@inboundemail/sdk';
import { simpleParser } from 'mailparser';

function call({ key, baseUrl, method, args }) {
  const path = method.split('.');
  const name = path.pop();
  const owner = path.reduce((object, part) => object[part], new Inbound(key, baseUrl));
  return owner[name](...args);
}

async function open({ message }) {
  const mail = await simpleParser(Buffer.from(message, 'base64'), {
    skipHtmlToText: true,
    skipTextToHtml: true,
    skipImageLinks: true,
  });
  return {
    subject: mail.subject,
    message_id: mail.messageId,
    in_reply_to: mail.inReplyTo ?? null,
    references: [mail.references ?? []].flat(),
    author: mailboxes(mail.from),
    to: mailboxes(mail.to),
    cc: mailboxes(mail.cc),
    text: mail.text ?? null,
    html: mail.html || null,
    files: mail.attachments.map((each) => ({
      filename: each.filename ?? null,
      content_type: each.contentType,
      content_id: each.contentId ?? null,
      disposition: each.contentDisposition,
      content: each.content.toString('base64'),
    })),
  };
}

function mailboxes(field) {
  return [field ?? []].flat().flatMap((each) => each.value.map(({ name, address }) => [name, address]));
}

createInterface({ input: process.stdin }).on('line', async (line) => {
  const request = JSON.parse(line);
  let answer;
  try {
    answer = { result: await ('message' in request ? open(request) : call(request)) };
  } catch (error) {
    answer = { thrown: String(error?.stack ?? error) };
  }
  process.stdout.write(`${JSON.stringify({ id: request.id, ...answer })}\n`);
});
