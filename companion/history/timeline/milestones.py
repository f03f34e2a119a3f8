"""Milestones of generative AI as data: what appeared when, who wrote it, what it introduced, what it builds on.

The date of a paper is the day of its first version on arXiv, of a paper that is not there the first day of the month of its
journal's issue, of a report or a product the day on which it was announced; some systems were shown before their paper
(DALL-E on 5 January 2021, DeepSeek-R1 on 20 January 2025). The year of a citation may be a later one: a paper of December is
often cited by its conference. ``builds_on`` names the milestones of this list whose idea a work uses, as its authors describe
it. The list is a choice, and so are its links: another historian would choose otherwise, and no count of them proves anything.
Each row has the key of its source in the book's bibliography.
"""

from dataclasses import dataclass
from datetime import date
from typing import Literal, get_args

from companion.validate import check_choice, checked

Family = Literal["latent variables", "adversarial", "autoregressive", "diffusion", "layers"]
FAMILIES: tuple[Family, ...] = get_args(Family)


@checked
@dataclass(frozen=True)
class Milestone:
    """One step of the history.

    Attributes:
        name: short, unique.
        day: of the first version on arXiv; of a paper not there, the first of the issue's month; of what has neither, the day
            of its announcement.
        authors: the first two, and how many others.
        family: one of `FAMILIES`.
        introduced: the idea, in a sentence.
        key: of its source in ``book/references.bib``.
        builds_on: names of earlier milestones.

    Raises:
        ValueError: an unknown family, or an empty text.
    """

    name: str
    day: date
    authors: str
    family: Family
    introduced: str
    key: str
    builds_on: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for field in ("name", "authors", "introduced", "key"):
            if not getattr(self, field).strip():
                raise ValueError(f"{field}: got nothing for {self.name!r}, wanted a text")


LATENT, ADVERSARIAL, AUTOREGRESSIVE, DIFFUSION, LAYERS = FAMILIES

MILESTONES = (
    Milestone("Counted text", date(1948, 7, 1), "Shannon", AUTOREGRESSIVE,
              "English drawn from counts of what followed the last few letters or words.", "shannon1948mathematical"),
    Milestone("LSTM", date(1997, 11, 1), "Hochreiter, Schmidhuber", LAYERS,
              "A recurrent cell that keeps what it has stored, behind gates that open and close.",
              "hochreiter1997lstm"),
    Milestone("Neural language model", date(2003, 2, 1), "Bengio, Ducharme and 2 others", AUTOREGRESSIVE,
              "Each word as a learned vector, so that what is learned of one serves its likes.",
              "bengio2003neural"),
    Milestone("VAE", date(2013, 12, 20), "Kingma, Welling", LATENT,
              "An encoder and a decoder trained together by a bound on the likelihood.", "kingma2013vae"),
    Milestone("Stochastic backprop", date(2014, 1, 16), "Rezende, Mohamed, Wierstra", LATENT,
              "The idea of the VAE a second time, found independently.", "rezende2014stochastic"),
    Milestone("GAN", date(2014, 6, 10), "Goodfellow, Pouget-Abadie and 6 others", ADVERSARIAL,
              "A generator trained by the judgement of a second network.", "goodfellow2014gan"),
    Milestone("Attention", date(2014, 9, 1), "Bahdanau, Cho, Bengio", AUTOREGRESSIVE,
              "A translator that learns which input words to look at for each output word.", "bahdanau2014neural"),
    Milestone("Diffusion", date(2015, 3, 12), "Sohl-Dickstein, Weiss and 2 others", DIFFUSION,
              "Data destroyed by noise in small steps, and a model that learns to undo each.",
              "sohldickstein2015deep"),
    Milestone("DCGAN", date(2015, 11, 19), "Radford, Metz, Chintala", ADVERSARIAL,
              "Convolutions, and rules of thumb under which the two networks train reliably.", "radford2015dcgan",
              ("GAN",)),
    Milestone("Residual network", date(2015, 12, 10), "He, Zhang and 2 others", LAYERS,
              "A layer that adds to its input, so that networks of over a hundred layers train.", "he2015deep"),
    Milestone("PixelRNN", date(2016, 1, 25), "van den Oord, Kalchbrenner, Kavukcuoglu", AUTOREGRESSIVE,
              "An image written pixel by pixel, with an exact likelihood.", "oord2016pixel"),
    Milestone("WaveNet", date(2016, 9, 12), "van den Oord, Dieleman and 7 others", AUTOREGRESSIVE,
              "Sound written one sample at a time by dilated causal convolutions.", "oord2016wavenet"),
    Milestone("WGAN", date(2017, 1, 26), "Arjovsky, Chintala, Bottou", ADVERSARIAL,
              "A critic that measures a distance in place of a discriminator that decides.", "arjovsky2017wgan",
              ("GAN",)),
    Milestone("Transformer", date(2017, 6, 12), "Vaswani, Shazeer and 6 others", AUTOREGRESSIVE,
              "A translator of attention alone, without recurrence.", "vaswani2017attention", ("Attention",)),
    Milestone("VQ-VAE", date(2017, 11, 2), "van den Oord, Vinyals, Kavukcuoglu", LATENT,
              "Latents from a learned list, so that images become sequences of symbols.", "oord2017neural",
              ("VAE",)),
    Milestone("GPT", date(2018, 6, 11), "Radford, Narasimhan and 2 others", AUTOREGRESSIVE,
              "A transformer's decoder trained to continue text, then adapted to many tasks.", "radford2018gpt",
              ("Transformer",)),
    Milestone("StyleGAN", date(2018, 12, 12), "Karras, Laine, Aila", ADVERSARIAL,
              "A generator that takes its latent as a style at every scale.", "karras2018stylegan", ("GAN",)),
    Milestone("Score networks", date(2019, 7, 12), "Song, Ermon", DIFFUSION,
              "The gradient of the noisy data's log-density, learned at many noise levels.", "song2019ncsn"),
    Milestone("GPT-3", date(2020, 5, 28), "Brown, Mann and 29 others", AUTOREGRESSIVE,
              "Scale: tasks learned from a few examples in the prompt, without new training.", "brown2020language",
              ("GPT",)),
    Milestone("DDPM", date(2020, 6, 19), "Ho, Jain, Abbeel", DIFFUSION,
              "Diffusion trained by predicting the noise; images as good as those of GANs.", "ho2020ddpm",
              ("Diffusion", "Score networks")),
    Milestone("DDIM", date(2020, 10, 6), "Song, Meng, Ermon", DIFFUSION,
              "The same trained network sampled in tens of steps instead of a thousand.", "song2020ddim", ("DDPM",)),
    Milestone("DALL-E", date(2021, 2, 24), "Ramesh, Pavlov and 6 others", AUTOREGRESSIVE,
              "One transformer over text and then image tokens: a picture from a caption.", "ramesh2021dalle",
              ("Transformer", "VQ-VAE", "GPT-3")),
    Milestone("Latent diffusion", date(2021, 12, 20), "Rombach, Blattmann and 3 others", DIFFUSION,
              "Diffusion in an autoencoder's latent space, at a fraction of the cost.", "rombach2021ldm",
              ("VAE", "VQ-VAE", "DDPM")),
    Milestone("Guidance", date(2022, 7, 26), "Ho, Salimans", DIFFUSION,
              "A condition followed harder: one network with and without it, and their difference made larger.",
              "ho2022cfg", ("DDPM",)),
    Milestone("Stable Diffusion", date(2022, 8, 22), "CompVis, Runway, Stability AI", DIFFUSION,
              "The weights of a text-to-image model published for everybody.", "stability2022release",
              ("Latent diffusion",)),
    Milestone("Rectified flow", date(2022, 9, 7), "Liu, Gong, Liu", DIFFUSION,
              "Straight lines from noise to data, and a network that learns their velocity.", "liu2022rectified",
              ("Score networks", "DDPM")),
    Milestone("ChatGPT", date(2022, 11, 30), "OpenAI", AUTOREGRESSIVE,
              "A language model as a conversation, trained on people's preferences, open to the public.",
              "openai2022chatgpt", ("GPT-3",)),
    Milestone("Diffusion transformer", date(2022, 12, 19), "Peebles, Xie", DIFFUSION,
              "A transformer in the U-Net's place, better the more compute it gets.", "peebles2022dit",
              ("Transformer", "Latent diffusion")),
    Milestone("Stable Diffusion 3", date(2024, 3, 5), "Esser, Kulal and 15 others", DIFFUSION,
              "Text and image as two streams of one transformer, trained as a rectified flow.", "esser2024sd3",
              ("Latent diffusion", "Rectified flow", "Diffusion transformer")),
    Milestone("DeepSeek-R1", date(2025, 1, 22), "DeepSeek-AI", AUTOREGRESSIVE,
              "Reasoning learned by reinforcement from answers that can be checked, published with weights.",
              "deepseek2025r1", ("Transformer",)),
)  # fmt: skip


def milestone(name: str) -> Milestone:
    """The milestone of that name.

    Raises:
        ValueError: there is none.
    """
    check_choice("name", name, [m.name for m in MILESTONES])
    return next(m for m in MILESTONES if m.name == name)


def ancestors(name: str) -> tuple[Milestone, ...]:
    """All that a milestone builds on, directly or through others, oldest first."""
    found: set[str] = set()
    waiting = list(milestone(name).builds_on)
    while waiting:
        parent = waiting.pop()
        if parent not in found:
            found.add(parent)
            waiting += milestone(parent).builds_on
    return tuple(m for m in MILESTONES if m.name in found)


def years_between(earlier: str, later: str) -> float:
    """The time from one milestone to another in years of 365.25 days; negative if the first is the later one."""
    return (milestone(later).day - milestone(earlier).day).days / 365.25
