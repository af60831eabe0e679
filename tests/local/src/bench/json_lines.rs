//! A program that answers each line of JSON with a line of JSON, until it is dropped.

use std::process::Stdio;

use anyhow::{Context, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

pub struct JsonLinesProgram {
    questions: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    _process: Child,
}

impl JsonLinesProgram {
    pub fn start(command: &mut Command) -> Result<Self> {
        let program = command.as_std().get_program().display().to_string();
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().with_context(|| format!("cannot start {program}"))?;
        let questions = process.stdin.take().context("it has no standard input")?;
        let answers = BufReader::new(process.stdout.take().context("it has no standard output")?).lines();
        Ok(Self { questions, answers, _process: process })
    }

    pub async fn ask<T: DeserializeOwned>(&mut self, question: &impl Serialize) -> Result<T> {
        let mut line = serde_json::to_vec(question)?;
        line.push(b'\n');
        self.questions.write_all(&line).await.context("it has ended")?;
        let answer = self.answers.next_line().await?.context("it has ended without an answer")?;
        serde_json::from_str(&answer).with_context(|| format!("no answer: {answer}"))
    }
}
