//! Poison messages: a message whose image kills the worker must not keep the other images of its batch from their
//! thumbnails. A decoder may run out of stack or of time. Then no code of the worker runs any more, and the queue delivers
//! the whole batch again, with everything that was already handled.
//!
//! Therefore the worker marks the row of an image while it decodes the image. A mark that stays behind means that a worker
//! died:
//!
//! 1. Images that no worker has died of come first.
//! 2. An image that one worker has died of is decoded a second time, because the death may have had another cause. The
//!    second decoding begins only when every other message of the batch is handled.
//! 3. An image that workers have died of [`limits::MAX_DECODINGS`] times fails and is not decoded again.
//! 4. If the queue delivers any message of the batch for the last time, no image is decoded a second time, because a death
//!    would send the other messages to the dead-letter queue. The message of such an image counts as handled, its row stays
//!    due, and the sweeper sends a new message.
//!
//! So each deadly image costs the others of its batch one receive. With four deadly images in a batch of five, the fifth
//! image has its thumbnails at its fifth receive at the latest. This is the worst case: all five messages would have to
//! come together each time, and the worker separates them (see [`limits::RETRY_APART`]).

use shared::limits;

/// The result of an attempt at a message.
#[derive(PartialEq)]
pub enum Attempt {
    /// The message is handled, or has failed, or will be delivered again.
    Finished,
    /// More decodings of the image began and did not end than this round allows.
    Deferred,
}

/// Returns whether an image may be decoded again after so many decodings that began and did not end. Otherwise the image
/// fails.
pub fn may_decode_again(unfinished: u32) -> bool {
    unfinished < limits::MAX_DECODINGS
}

/// Attempts each message of a batch in rounds: round n allows images of which n decodings began and did not end. `attempt`
/// gets the message and n. Returns the messages that are left to the sweeper.
pub async fn suspects_last<M>(
    mut batch: Vec<M>,
    is_last_receive: bool,
    mut attempt: impl AsyncFnMut(&M, u32) -> Attempt,
) -> Vec<M> {
    let rounds = if is_last_receive { 1 } else { limits::MAX_DECODINGS };
    for allowed_unfinished in 0..rounds {
        let mut deferred = Vec::new();
        for message in batch {
            if attempt(&message, allowed_unfinished).await == Attempt::Deferred {
                deferred.push(message);
            }
        }
        batch = deferred;
    }
    batch
}

#[cfg(test)]
mod tests {
    use std::{
        cell::RefCell,
        collections::BTreeSet,
        pin::pin,
        task::{Context, Waker},
    };

    use super::*;

    const IMAGES: usize = 5;

    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    enum Nature {
        Healthy,
        /// The first worker dies, of another cause.
        Unlucky,
        /// Each worker dies of the image.
        Deadly,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    enum Thumbnails {
        Due,
        Ready,
        Failed,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    struct Image {
        nature: Nature,
        thumbnails: Thumbnails,
        /// Decodings that began and did not end, as the row counts them.
        unfinished: u32,
        deaths: u32,
        /// True while the message of the image is in the queue.
        is_queued: bool,
    }

    /// The attempt of a worker that dies never returns.
    async fn death() -> Attempt {
        std::future::pending().await
    }

    /// The images after a worker received some of them in one batch, in this order.
    fn after(images: [Image; IMAGES], batch: &[usize], receive: u32) -> [Image; IMAGES] {
        let state = RefCell::new(images);
        let attempt = async |&at: &usize, allowed_unfinished: u32| {
            let image = state.borrow()[at];
            if receive > 1 && image.thumbnails != Thumbnails::Due {
                return Attempt::Finished;
            }
            if image.unfinished > allowed_unfinished {
                if may_decode_again(image.unfinished) {
                    return Attempt::Deferred;
                }
                state.borrow_mut()[at].thumbnails = Thumbnails::Failed;
                return Attempt::Finished;
            }
            state.borrow_mut()[at].unfinished += 1;
            if image.nature == Nature::Deadly || image.nature == Nature::Unlucky && image.deaths == 0 {
                state.borrow_mut()[at].deaths += 1;
                return death().await;
            }
            state.borrow_mut()[at].unfinished = 0;
            state.borrow_mut()[at].thumbnails = Thumbnails::Ready;
            Attempt::Finished
        };
        let survives = {
            let work = pin!(suspects_last(batch.to_vec(), receive == limits::MAX_RECEIVES, attempt));
            work.poll(&mut Context::from_waker(Waker::noop())).is_ready()
        };
        let mut images = state.into_inner();
        for &at in batch {
            images[at].is_queued &= !survives;
        }
        images
    }

    /// The queued messages in every order, and each order divided into batches in every way.
    fn deliveries(images: &[Image; IMAGES]) -> Vec<Vec<Vec<usize>>> {
        let queued: Vec<usize> = (0..IMAGES).filter(|&at| images[at].is_queued).collect();
        let mut orders = vec![Vec::new()];
        for _ in &queued {
            let longer = |order: Vec<usize>| {
                let rest: Vec<usize> = queued.iter().copied().filter(|at| !order.contains(at)).collect();
                rest.into_iter().map(move |at| [order.clone(), vec![at]].concat())
            };
            orders = orders.into_iter().flat_map(longer).collect();
        }
        let cut = |order: Vec<usize>| {
            // Each bit decides whether a batch ends between two messages.
            (0_u32..1 << order.len().saturating_sub(1)).map(move |cuts| {
                let mut batches = vec![Vec::new()];
                for (n, &at) in order.iter().enumerate() {
                    if n > 0 && (cuts >> (n - 1)) & 1 == 1 {
                        batches.push(Vec::new());
                    }
                    batches.last_mut().unwrap().push(at);
                }
                batches
            })
        };
        orders.into_iter().flat_map(cut).collect()
    }

    /// Every state that the images may be in after the queue has delivered their messages once more.
    fn received(before: &BTreeSet<[Image; IMAGES]>, receive: u32) -> BTreeSet<[Image; IMAGES]> {
        let mut all = BTreeSet::new();
        for images in before {
            for batches in deliveries(images) {
                let mut images = batches.iter().fold(*images, |images, batch| after(images, batch, receive));
                // The position of an image makes no difference.
                images.sort();
                all.insert(images);
            }
        }
        all
    }

    fn all_mixtures() -> Vec<[Nature; IMAGES]> {
        let mut mixtures = Vec::new();
        for healthy in 0..=IMAGES {
            for unlucky in 0..=IMAGES - healthy {
                let nature = |at| match at {
                    at if at < healthy => Nature::Healthy,
                    at if at < healthy + unlucky => Nature::Unlucky,
                    _ => Nature::Deadly,
                };
                mixtures.push(std::array::from_fn(nature));
            }
        }
        mixtures
    }

    #[test]
    fn r04_whatever_is_in_a_batch_and_however_it_comes_only_the_deadly_fail() {
        for mixture in all_mixtures() {
            let suspects = mixture.iter().filter(|&&nature| nature != Nature::Healthy).count();
            let begun = mixture.map(|nature| Image {
                nature,
                thumbnails: Thumbnails::Due,
                unfinished: 0,
                deaths: 0,
                is_queued: true,
            });
            let mut states = BTreeSet::from([begun]);
            for receive in 1..=limits::MAX_RECEIVES {
                states = received(&states, receive);
                if receive as usize > suspects {
                    let is_ready_if_healthy =
                        |image: &Image| image.nature != Nature::Healthy || image.thumbnails == Thumbnails::Ready;
                    assert!(
                        states.iter().flatten().all(is_ready_if_healthy),
                        "{mixture:?} at receive {receive}: {states:#?}"
                    );
                }
            }
            // If at least one image is healthy, no message reaches the dead-letter queue.
            let is_gone = |image: &Image| !image.is_queued || suspects == IMAGES;
            assert!(states.iter().flatten().all(is_gone), "{mixture:?}: {states:#?}");

            // The sweeper sends new messages for the due images until no image is due.
            for _ in 0..2 {
                states = states.into_iter().map(|images| images.map(sent_again)).collect();
                for receive in 1..=limits::MAX_RECEIVES {
                    states = received(&states, receive);
                }
            }
            for image in states.iter().flatten() {
                let (thumbnails, deaths) = match image.nature {
                    Nature::Healthy => (Thumbnails::Ready, 0),
                    Nature::Unlucky => (Thumbnails::Ready, 1),
                    Nature::Deadly => (Thumbnails::Failed, limits::MAX_DECODINGS),
                };
                assert_eq!((image.thumbnails, image.deaths), (thumbnails, deaths), "of {mixture:?}");
            }
        }
    }

    fn sent_again(image: Image) -> Image {
        Image { is_queued: image.thumbnails == Thumbnails::Due, ..image }
    }
}
